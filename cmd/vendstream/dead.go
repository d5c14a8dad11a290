package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

func (p *program) dead() *cobra.Command {
	return group("dead", "Dead letters: messages that can have no result", p.deadList(), p.deadShow(), p.deadRedrive())
}

var reasons = []string{
	string(purchase.ReasonTooLarge), string(purchase.ReasonMalformed), string(purchase.ReasonInvalidReference),
	string(purchase.ReasonUnknownAccount), string(purchase.ReasonConflict),
}

// deadRow is one dead letter of a list.
type deadRow struct {
	Account  string    `json:"account"`
	Sequence uint64    `json:"sequence"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Time     time.Time `json:"time"`
	Bytes    int       `json:"bytes"`
}

func (p *program) deadList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters",
		Long: `List the dead letters, oldest first: columns account, sequence (of the message in
the requests stream), reason, detail, time (when it became one), bytes (of its
body).`,
		Args: cobra.NoArgs,
	}
	name := cmd.Flags().String("account", "", "only this account (default: all, unknown ones too)")
	reason := cmd.Flags().String("reason", "", "only this reason: "+strings.Join(reasons, ", "))
	limit := cmd.Flags().Uint("limit", 0, "only so many, the newest (default: all)")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		if *reason != "" && !slices.Contains(reasons, *reason) {
			return usage("--reason: %q must be one of %s", *reason, strings.Join(reasons, ", "))
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
		if _, err := s.stream(cmd.Context(), s.subjects.DeadStream()); err != nil {
			return err
		}
		var rows []deadRow
		from := jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.subjects.AllDead(account)}, HeadersOnly: true}
		none := func(there uint64) error {
			if there == 0 {
				return errEnough
			}
			return nil
		}
		err = s.follow(cmd.Context(), s.subjects.DeadStream(), from, none, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			if row := s.deadRow(m, meta); *reason == "" || row.Reason == *reason {
				rows = append(rows, row)
			}
			if *limit > 0 && uint(len(rows)) > *limit {
				rows = rows[1:]
			}
			if meta.NumPending == 0 {
				return errEnough
			}
			return nil
		})
		if err != nil {
			return err
		}
		out := output.NewWriter(p.Stdout, format.Format, "account", "sequence", "reason", "detail", "time", "bytes")
		for _, row := range rows {
			cells := []string{
				row.Account, strconv.FormatUint(row.Sequence, 10), row.Reason, row.Detail,
				row.Time.Format(time.RFC3339), strconv.Itoa(row.Bytes),
			}
			if err := out.Record(row, cells); err != nil {
				return err
			}
		}
		return out.Close()
	})
	return cmd
}

// deadRow reads a dead letter whose body the server left out.
func (s *session) deadRow(m jetstream.Msg, meta *jetstream.MsgMetadata) deadRow {
	h := m.Headers()
	size, _ := strconv.Atoi(publisher.Header(h, nats.MsgSize)) // the server's own
	return deadRow{
		Account:  s.subjects.AccountOf(m.Subject()),
		Sequence: lastNumber(m.Subject()),
		Reason:   publisher.Header(h, publisher.HeaderReason),
		Detail:   publisher.Header(h, publisher.HeaderDetail),
		Time:     meta.Timestamp.UTC(),
		Bytes:    size,
	}
}

// lastNumber is the sequence that a dead letter's subject ends with, or 0.
func lastNumber(subject string) uint64 {
	n, _ := strconv.ParseUint(lastToken(subject), 10, 64)
	return n
}

func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
