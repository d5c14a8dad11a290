package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
)

func (p *program) resultsWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print results as the ledger grows",
		Long: `Print results as the ledger grows, until a signal ends it (exit 130).
` + resultHelp + `
jsonl and csv are printed line by line; json and table at the end.`,
		Args: cobra.NoArgs,
	}
	name := cmd.Flags().String("account", "", "only this account (default: all)")
	since := cmd.Flags().String("since", "", `begin with the results of the last while, such as 1h, or "all" (default: only new ones)`)
	count := cmd.Flags().Uint("count", 0, "end after so many results (default: never)")
	format := outputFlag(cmd, output.JSONL)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		account, err := anyAccount(*name)
		if err != nil {
			return err
		}
		from, err := sinceWhen(*since, time.Now())
		if err != nil {
			return err
		}
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		stream, err := s.stream(ctx, s.subjects.ResultsStream())
		if err != nil {
			return err
		}
		if from.DeliverPolicy == jetstream.DeliverNewPolicy {
			// By sequence, so that a connection lost before the first result
			// leaves none out.
			from.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
			from.OptStartSeq = stream.CachedInfo().State.LastSeq + 1
		}
		from.FilterSubjects = []string{s.subjects.AllResults(account)}
		out := output.NewWriter(p.Stdout, format.Format, resultColumns...)
		seen := uint(0)
		begun := func(uint64) error {
			s.log.Info().Str("stream", s.subjects.ResultsStream()).Msg("watching")
			return nil
		}
		err = s.follow(ctx, s.subjects.ResultsStream(), from, begun, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			r := &purchase.Result{}
			if err := json.Unmarshal(m.Data(), r); err != nil {
				s.log.Warn().Uint64("sequence", meta.Sequence.Stream).Msg("a message on the results stream is no result; it is left out")
				return nil
			}
			if err := out.Record(json.RawMessage(m.Data()), resultCells(r)); err != nil {
				return err
			}
			if seen++; seen == *count {
				return errEnough
			}
			return nil
		})
		if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = &lifecycle.Exit{Code: lifecycle.Interrupted} // its usual end: nothing to say
		}
		return errors.Join(err, out.Close())
	})
	return cmd
}

// sinceWhen reads --since.
func sinceWhen(since string, now time.Time) (jetstream.OrderedConsumerConfig, error) {
	var from jetstream.OrderedConsumerConfig
	switch since {
	case "":
		from.DeliverPolicy = jetstream.DeliverNewPolicy
	case "all":
		from.DeliverPolicy = jetstream.DeliverAllPolicy
	default:
		ago, err := time.ParseDuration(since)
		if err != nil || ago <= 0 {
			return from, usage(`--since: %q is neither "all" nor a duration above zero such as 1h`, since)
		}
		at := now.Add(-ago)
		from.DeliverPolicy, from.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	}
	return from, nil
}
