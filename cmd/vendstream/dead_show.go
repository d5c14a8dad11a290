package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/publisher"
)

// deadLetter is one dead letter in full.
type deadLetter struct {
	Account  string              `json:"account"`
	Sequence uint64              `json:"sequence"`
	Reason   string              `json:"reason"`
	Detail   string              `json:"detail"`
	Time     time.Time           `json:"time"`
	Headers  map[string][]string `json:"headers"`
	// Encoding is that of Body: utf-8, or base64 where the body is not UTF-8.
	Encoding string `json:"encoding"`
	Body     string `json:"body"`
}

func (p *program) deadShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SEQUENCE",
		Short: "Print a dead letter with its headers and body",
		Long: `Print the dead letter of the message with that sequence in the requests stream:
columns account, sequence, reason, detail, time, headers (JSON), encoding, body.
Body is the original's as a text (encoding utf-8), or in base64 where it is not
UTF-8 (encoding base64). Where it was too large for a dead letter, the header
Vendstream-Truncated gives its size, and the rest is in the requests stream; where
the headers were too large, Vendstream-Headers-Left-Out gives their number.`,
		Args: exactly("SEQUENCE"),
	}
	name := cmd.Flags().String("account", "", "account as in the subject (default: whichever it is)")
	format := outputFlag(cmd, output.JSON)
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		sequence, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil || sequence == 0 {
			return usage("SEQUENCE: %q is not a whole number above zero", args[0])
		}
		account, err := anyAccount(*name)
		if err != nil {
			return err
		}
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		stream, err := s.stream(cmd.Context(), s.subjects.DeadStream())
		if err != nil {
			return err
		}
		m, err := stream.GetMsg(cmd.Context(), 1, jetstream.WithGetMsgSubject(s.subjects.Dead(account, sequence)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("there is no dead letter of request %d; `vendstream dead list` shows those there are", sequence)
		}
		if err != nil {
			return unreachable(fmt.Errorf("read the dead letter of request %d: %w", sequence, err))
		}
		return p.printDead(format.Format, deadLetter{
			Account:  s.subjects.AccountOf(m.Subject),
			Sequence: sequence,
			Reason:   publisher.Header(m.Header, publisher.HeaderReason),
			Detail:   publisher.Header(m.Header, publisher.HeaderDetail),
			Time:     m.Time.UTC(),
			Headers:  m.Header,
			Encoding: "utf-8",
			Body:     string(m.Data),
		})
	})
	return cmd
}

func (p *program) printDead(format output.Format, d deadLetter) error {
	if !utf8.ValidString(d.Body) {
		d.Encoding, d.Body = "base64", base64.StdEncoding.EncodeToString([]byte(d.Body))
	}
	headers, err := json.Marshal(d.Headers)
	if err != nil {
		return fmt.Errorf("encode the headers: %w", err)
	}
	return output.One(p.Stdout, format,
		[]string{"account", "sequence", "reason", "detail", "time", "headers", "encoding", "body"}, d,
		[]string{
			d.Account, strconv.FormatUint(d.Sequence, 10), d.Reason, d.Detail, d.Time.Format(time.RFC3339Nano),
			string(headers), d.Encoding, d.Body,
		})
}
