package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// neverAnother is said wherever an outcome is unknown (contract, exit code 4).
const neverAnother = "the outcome is unknown; never submit it again under another reference"

func (p *program) submit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit",
		Short: "Submit one purchase",
		Long: `Submit one purchase. Its body comes from --body, from --file, or from the flags of
its fields; then a reference is made where none is given, and printed on standard
error before anything is sent.

Prints what the server has stored: columns account, merchantReference, sequence
(in the requests stream), duplicate (the server had the same request already, and
its result is this one's).

With --wait it prints the purchase's result instead, like "results get", and ends
with 0 for COMPLETED, 3 for FAILED, 1 where it became a dead letter, and 4 where
--timeout ended first: then the outcome is unknown, and it must never be submitted
again under another reference. A request that could only become a dead letter is
not sent and ends with 2.`,
		Args: cobra.NoArgs,
	}
	var (
		fields  purchaseFlags
		headers headerFlags
	)
	name := cmd.Flags().String("account", "", "account to buy with (default: the only configured one)")
	fields.register(cmd.Flags())
	headers.register(cmd.Flags())
	wait := cmd.Flags().Bool("wait", false, "wait for the result and print it")
	timeout := cmd.Flags().Duration("timeout", 10*time.Minute, "with --wait, how long")
	format := outputFlag(cmd, output.JSON)
	cmd.RunE = p.action(func(cmd *cobra.Command, _ []string) error {
		if *timeout <= 0 || cmd.Flags().Changed("timeout") && !*wait {
			return usage("--timeout must be above zero and needs --wait")
		}
		request, err := headers.request(time.Now())
		if err != nil {
			return err
		}
		if request.Body, err = fields.body(cmd.Flags(), p.Stdin, p.Stderr); err != nil {
			return err
		}
		cfg, log, err := p.load(true)
		if err != nil {
			return err
		}
		buyer, err := buyer(cfg, *name, *wait)
		if err != nil {
			return err
		}
		request.Account = buyer.Name
		s, err := open(cfg, log)
		if err != nil {
			return err
		}
		defer s.close()
		sent, digest, err := s.submit(cmd.Context(), request, buyer)
		if err != nil {
			return err
		}
		if *wait {
			return s.wait(cmd.Context(), *timeout, sent, digest, func(body []byte, r *purchase.Result) error {
				return printResult(p.Stdout, format.Format, body, r)
			})
		}
		type row struct {
			Account   string `json:"account"`
			Reference string `json:"merchantReference"`
			Sequence  uint64 `json:"sequence"`
			Duplicate bool   `json:"duplicate"`
		}
		return output.One(p.Stdout, format.Format, []string{"account", "merchantReference", "sequence", "duplicate"},
			row{buyer.Name, sent.Reference, sent.Sequence, sent.Duplicate},
			[]string{buyer.Name, sent.Reference, strconv.FormatUint(sent.Sequence, 10), strconv.FormatBool(sent.Duplicate)})
	})
	return cmd
}

// buyer is the account to submit for, as the daemons read its requests. Where
// accounts are configured it must be one of them, since a request for another
// would wait for ever or become a dead letter. Where none is, as on a machine
// that only publishes, it is taken as it is; but then a result cannot be told
// from that of another purchase under the same reference, so there is no waiting.
func buyer(cfg *config.Config, name string, wait bool) (purchase.Account, error) {
	name, err := account(cfg, name)
	if err != nil {
		return purchase.Account{}, err
	}
	one := purchase.Account{Name: name, DigestKey: []byte(cfg.Dedupe.DigestKey.Reveal())}
	for _, a := range cfg.Accounts {
		if a.Name == name {
			one.ChannelID = a.ChannelID
			return one, nil
		}
	}
	if len(cfg.Accounts) > 0 {
		return one, usage("--account: %s is not configured", name)
	}
	if wait {
		return one, usage("--wait needs account %s in the configuration, to tell this purchase's result from another's", name)
	}
	return one, nil
}

// submit publishes a request and gives the digest that its result will bear.
func (s *session) submit(ctx context.Context, r publisher.Request, buyer purchase.Account) (publisher.Submitted, purchase.Digest, error) {
	p, err := publisher.New(s.nc, publisher.WithSubjects(s.subjects))
	if err != nil {
		return publisher.Submitted{}, "", err
	}
	if _, err := s.stream(ctx, s.subjects.RequestsStream()); err != nil {
		return publisher.Submitted{}, "", err
	}
	sent, err := p.Submit(ctx, r)
	if invalid := (*publisher.InvalidError)(nil); errors.As(err, &invalid) {
		return sent, "", usage("nothing was submitted: %w", err)
	}
	if errors.Is(err, publisher.ErrNotAcknowledged) {
		return sent, "", &lifecycle.Exit{Code: lifecycle.OutcomeUnknown, Err: fmt.Errorf("merchantReference %s: %w", sent.Reference, err)}
	}
	if err != nil {
		return sent, "", err
	}
	parsed, err := purchase.Parse(r.Body, buyer)
	if err != nil {
		return sent, "", err // Submit has read it already
	}
	return sent, parsed.Digest, nil
}
