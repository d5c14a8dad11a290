package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// hopeless are the reasons for which the same message can only die again.
var hopeless = []string{
	string(purchase.ReasonTooLarge), string(purchase.ReasonMalformed), string(purchase.ReasonInvalidReference),
	string(purchase.ReasonConflict),
}

// mending is what a sender does instead.
func mending(reason string) string {
	if reason == string(purchase.ReasonConflict) {
		return "the reference stays the other purchase's, and each redrive adds a dead letter: have the sender submit it under a new reference"
	}
	return "have the sender mend it"
}

// redriven is what became of one dead letter.
type redriven struct {
	Account  string `json:"account"`
	Sequence uint64 `json:"sequence"`
	Reason   string `json:"reason"`
	// Outcome is redriven, duplicate (the server has the same redrive from the last
	// minutes), would redrive (--dry-run), or failed.
	Outcome string `json:"outcome"`
	// Request is the new message's sequence in the requests stream, or 0.
	Request uint64 `json:"request,omitempty"`
	Detail  string `json:"detail,omitempty"` // of failed
}

type redriveFlags struct {
	account, reason string
	dry, yes, force bool
}

func (p *program) deadRedrive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive SEQUENCE... | --reason REASON",
		Short: "Put dead letters back to work",
		Long: `Put dead letters back to work after their cause is gone: publish the original body and
headers once more, and wait until the server has stored them. Each becomes a new message
with an end of its own; the dead letter stays. A message that was bought already is a repeat
and shares the first one's result, so a redrive too many is harmless.

Dead letters are named by their SEQUENCE in the requests stream, or chosen with --reason and
--account. too_large, malformed, invalid_reference and conflict would only die again and need
--force; so does an account that is still not configured, where accounts are configured here.
More than one needs --yes, or a yes on the terminal.

Prints columns account, sequence, reason, outcome (redriven, duplicate: the server has this
redrive from the last minutes, would redrive, failed), request (the new sequence), detail.
Exit 0: all are back; 1: some are not.`,
	}
	var f redriveFlags
	cmd.Flags().StringVar(&f.account, "account", "", "only this account (default: whichever it is)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "all with this reason: "+strings.Join(reasons, ", "))
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&f.force, "force", false, "also what can only die again")
	format := outputFlag(cmd, output.Table)
	cmd.RunE = p.action(func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		sequences, account, err := f.chosen(args)
		if err != nil {
			return err
		}
		s, err := p.connect()
		if err != nil {
			return err
		}
		defer s.close()
		for _, name := range []string{s.subjects.DeadStream(), s.subjects.RequestsStream()} {
			if _, err := s.stream(ctx, name); err != nil {
				return err
			}
		}
		var letters []redriven
		if f.reason != "" {
			letters, err = s.buried(ctx, account, f.reason)
		} else {
			letters, err = s.named(ctx, account, sequences)
		}
		if err != nil {
			return err
		}
		if err := f.allowed(letters); err != nil {
			return err
		}
		if err := p.confirm(letters, &f); err != nil {
			return err
		}
		out := output.NewWriter(p.Stdout, format.Format, "account", "sequence", "reason", "outcome", "request", "detail")
		failed := 0
		for i := range letters {
			l := &letters[i]
			if l.Outcome == "" {
				s.redrive(ctx, l, &f)
			}
			if l.Outcome == "failed" {
				failed++
			}
			request := ""
			if l.Request > 0 {
				request = strconv.FormatUint(l.Request, 10)
			}
			if err := out.Record(l, []string{l.Account, strconv.FormatUint(l.Sequence, 10), l.Reason, l.Outcome, request, l.Detail}); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return errors.Join(out.Close(), &lifecycle.Exit{
					Code: lifecycle.Interrupted,
					Err:  fmt.Errorf("%w: %d of %d dead letters were looked at; run the same command again, a repeat is harmless", context.Cause(ctx), i+1, len(letters)),
				})
			}
		}
		if err := out.Close(); err != nil {
			return err
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d dead letters are not back to work", failed, len(letters))
		}
		return nil
	})
	return cmd
}

// chosen reads which dead letters are meant. The account may be "*".
func (f *redriveFlags) chosen(args []string) (sequences []uint64, account string, err error) {
	switch {
	case len(args) == 0 && f.reason == "":
		return nil, "", usage("name the dead letters by SEQUENCE, or choose them with --reason")
	case len(args) > 0 && f.reason != "":
		return nil, "", usage("SEQUENCE and --reason cannot be given together")
	case f.reason != "" && !slices.Contains(reasons, f.reason):
		return nil, "", usage("--reason: %q must be one of %s", f.reason, strings.Join(reasons, ", "))
	case slices.Contains(hopeless, f.reason) && !f.force:
		return nil, "", usage("--reason: %s can only die again: %s, or add --force", f.reason, mending(f.reason))
	}
	for _, arg := range args {
		sequence, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || sequence == 0 {
			return nil, "", usage("SEQUENCE: %q is not a whole number above zero", arg)
		}
		if !slices.Contains(sequences, sequence) {
			sequences = append(sequences, sequence)
		}
	}
	account, err = anyAccount(f.account)
	return sequences, account, err
}

// allowed refuses what can only die again, before anything is done.
func (f *redriveFlags) allowed(letters []redriven) error {
	for _, l := range letters {
		if slices.Contains(hopeless, l.Reason) && !f.force {
			return usage("SEQUENCE: %d is %s and can only die again: %s, or add --force; nothing was redriven", l.Sequence, l.Reason, mending(l.Reason))
		}
	}
	return nil
}

// confirm asks before more than one is redriven.
func (p *program) confirm(letters []redriven, f *redriveFlags) error {
	n := 0
	for _, l := range letters {
		if l.Outcome == "" {
			n++
		}
	}
	if n < 2 || f.yes || f.dry {
		return nil
	}
	if !terminal(p.Stdin) || !terminal(p.Stderr) {
		return usage("these are %d dead letters: add --yes, or look at them first with --dry-run", n)
	}
	fmt.Fprintf(p.Stderr, "Redrive %d dead letters? [y/N] ", n)
	answer, _ := bufio.NewReader(p.Stdin).ReadString('\n') // no answer is no
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was redriven")
	}
	return nil
}

// buried lists the dead letters with a reason, oldest first.
func (s *session) buried(ctx context.Context, account, reason string) ([]redriven, error) {
	var letters []redriven
	from := jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.subjects.AllDead(account)}, HeadersOnly: true}
	none := func(there uint64) error {
		if there == 0 {
			return errEnough
		}
		return nil
	}
	err := s.follow(ctx, s.subjects.DeadStream(), from, none, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if row := s.deadRow(m, meta); row.Reason == reason {
			letters = append(letters, redriven{Account: row.Account, Sequence: row.Sequence, Reason: row.Reason})
		}
		if meta.NumPending == 0 {
			return errEnough
		}
		return nil
	})
	return letters, err
}

// named finds the dead letters of these sequences. One that is not there has
// failed already.
func (s *session) named(ctx context.Context, account string, sequences []uint64) ([]redriven, error) {
	stream, err := s.stream(ctx, s.subjects.DeadStream())
	if err != nil {
		return nil, err
	}
	var letters []redriven
	for _, sequence := range sequences {
		m, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(s.subjects.Dead(account, sequence)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			letters = append(letters, redriven{
				Account: strings.Trim(account, "*"), Sequence: sequence, Outcome: "failed", Detail: "there is no dead letter of this request",
			})
		case err != nil:
			return nil, unreachable(fmt.Errorf("read the dead letter of request %d: %w", sequence, err))
		default:
			letters = append(letters, redriven{
				Account: s.subjects.AccountOf(m.Subject), Sequence: sequence, Reason: publisher.Header(m.Header, publisher.HeaderReason),
			})
		}
	}
	return letters, nil
}

// redrive puts one dead letter back to work and notes what became of it.
func (s *session) redrive(ctx context.Context, l *redriven, f *redriveFlags) {
	fail := func(detail string) { l.Outcome, l.Detail = "failed", detail }
	if !f.force && len(s.cfg.Accounts) > 0 && !slices.ContainsFunc(s.cfg.Accounts, func(a config.Account) bool { return a.Name == l.Account }) {
		fail("account " + l.Account + " is not configured: it would only die again")
		return
	}
	letter, err := s.store.Dead(ctx, l.Account, l.Sequence)
	switch {
	case err != nil:
		fail(err.Error())
		return
	case letter == nil:
		fail("the dead letter is gone")
		return
	}
	if f.dry {
		l.Outcome = "would redrive"
		if !publisher.Incomplete(letter.Header) {
			return
		}
		if original, err := s.store.Original(ctx, l.Account, l.Sequence); err != nil {
			fail(err.Error())
		} else if original.Body == nil {
			fail(publisher.ErrOriginalGone.Error())
		}
		return
	}
	sequence, duplicate, err := s.store.Redrive(ctx, *letter)
	switch {
	case err != nil:
		fail(err.Error())
	case duplicate:
		l.Outcome, l.Request = "duplicate", sequence
	default:
		l.Outcome, l.Request = "redriven", sequence
	}
}
