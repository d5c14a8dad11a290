package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
)

func (p *program) results() *cobra.Command {
	return group("results", "The ledger: the terminal result of each purchase", p.resultsGet(), p.resultsWatch())
}

// resultColumns are those of a result as a table or CSV.
var resultColumns = []string{
	"account", "merchantReference", "status", "responseCode", "responseMessage", "failureClass", "productCode",
	"amount", "channelId", "transactionId", "source", "attempts", "requestedAt", "resolvedAt",
}

const resultHelp = `json and jsonl are the stored body as it is, receipt and all. table and csv have the
columns account, merchantReference, status, responseCode, responseMessage,
failureClass, productCode, amount, channelId, transactionId, source, attempts,
requestedAt, resolvedAt.`

func resultCells(r *purchase.Result) []string {
	class := ""
	if r.Failure != nil {
		class = string(r.Failure.Class)
	}
	return []string{
		r.Account, r.MerchantReference, string(r.Status), r.ResponseCode, r.ResponseMessage, class, plain(r.ProductCode),
		plain(r.Amount), plain(r.ChannelID), r.TransactionID, string(r.Source), strconv.Itoa(r.Attempts),
		r.RequestedAt.Format(time.RFC3339Nano), r.ResolvedAt.Format(time.RFC3339Nano),
	}
}

// plain is a JSON scalar as a cell: a string without its quotation marks, and a
// number as it is spelled.
func plain(raw json.RawMessage) string {
	if text := ""; bytes.HasPrefix(raw, []byte{'"'}) && json.Unmarshal(raw, &text) == nil {
		return text
	}
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

func printResult(out io.Writer, format output.Format, body []byte, r *purchase.Result) error {
	return output.One(out, format, resultColumns, json.RawMessage(body), resultCells(r))
}

func (p *program) resultsGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get REF",
		Short: "Print the result of a purchase",
		Long: `Print the result of the purchase with that merchantReference.
` + resultHelp + `

Exit 0 if it has a result, whether COMPLETED or FAILED; 4 if it is submitted and
still open; 1 if nothing is known of it.`,
		Args: exactly("REF"),
	}
	name := cmd.Flags().String("account", "", "account (default: the only configured one)")
	format := outputFlag(cmd, output.JSON)
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		reference := args[0]
		if !purchase.ValidReference(reference) {
			return usage("REF: %q is no merchantReference: 1 to 128 bytes of UTF-8 without control characters and without white space at either end", reference)
		}
		cfg, log, err := p.load(true)
		if err != nil {
			return err
		}
		account, err := account(cfg, *name)
		if err != nil {
			return err
		}
		s, err := open(cfg, log)
		if err != nil {
			return err
		}
		defer s.close()
		body, handoff, err := s.look(cmd.Context(), account, reference)
		if err != nil {
			return err
		}
		switch {
		case body != nil:
			r := &purchase.Result{}
			if err := json.Unmarshal(body, r); err != nil {
				return fmt.Errorf("the result of merchantReference %s cannot be read: %w", reference, err)
			}
			return printResult(p.Stdout, format.Format, body, r)
		case handoff != nil:
			return &lifecycle.Exit{Code: lifecycle.OutcomeUnknown, Err: fmt.Errorf("merchantReference %s of account %s is open since %s: %s",
				reference, account, handoff.SubmittedAt.Format(time.RFC3339), neverAnother)}
		default:
			return fmt.Errorf("nothing is known of merchantReference %s of account %s: "+
				"it was never submitted, waits for the consumer or is being bought right now, or its result is older than retention.results; %s", reference, account, neverAnother)
		}
	})
	return cmd
}

// look reads what is known of a purchase: its result, else its hand-off, else
// neither.
func (s *session) look(ctx context.Context, account, reference string) (json.RawMessage, *purchase.Handoff, error) {
	for _, stream := range []string{s.subjects.ResultsStream(), s.subjects.PendingStream()} {
		if _, err := s.stream(ctx, stream); err != nil {
			return nil, nil, err
		}
	}
	body, err := s.store.ResultBody(ctx, account, reference)
	if err != nil || body != nil {
		return body, nil, unreachable(err)
	}
	handoff, _, err := s.store.Handoff(ctx, account, reference)
	if err != nil || handoff != nil {
		return nil, handoff, unreachable(err)
	}
	// Its hand-off may have ended between the two looks.
	body, err = s.store.ResultBody(ctx, account, reference)
	return body, nil, unreachable(err)
}
