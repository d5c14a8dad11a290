package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
)

// check holds the contract's promises against what there is in the end: for every
// message on the stream, acknowledged or not.
func (h *history) check(ctx context.Context) error {
	h.mu.Lock()
	errs := append([]error{}, h.wrong...)
	h.mu.Unlock()
	there, err := h.stored(ctx, h.subjects.RequestsStream())
	if err != nil {
		return err
	}
	for _, r := range h.asked() {
		if m := there[r.sequence]; m == nil || !bytes.Equal(m.Data, r.body) {
			errs = append(errs, fmt.Errorf("message %d was acknowledged and is not on the stream", r.sequence))
		}
	}
	asked := map[string]bool{}
	for sequence, m := range there {
		name := h.subjects.AccountOf(m.Subject)
		dead, err := h.store.IsDead(ctx, name, sequence)
		if err != nil {
			return err
		}
		p, err := purchase.Parse(m.Data, purchase.Account{Name: name, ChannelID: "7"})
		if err != nil || name == ghost {
			if !dead {
				errs = append(errs, fmt.Errorf("message %d can have no result and has no dead letter", sequence))
			}
			continue
		}
		asked[p.Reference] = true
		result, err := h.store.Result(ctx, name, p.Reference)
		if err != nil {
			return err
		}
		ours := result != nil && result.RequestDigest == p.Digest
		if ours == dead {
			errs = append(errs, fmt.Errorf("message %d (%s): result %t, dead letter %t: there must be exactly one", sequence, p.Reference, ours, dead))
		}
	}
	errs = append(errs, h.checkResults(ctx, asked)...)
	for _, name := range accounts {
		for _, e := range h.vendor.Ledger(name) {
			if e.Vends > 1 {
				errs = append(errs, fmt.Errorf("%s was vended %d times", e.Reference, e.Vends))
			}
			if !asked[e.Reference] {
				errs = append(errs, fmt.Errorf("%s was bought, and nobody asked for it", e.Reference))
			}
		}
	}
	return errors.Join(errs...)
}

// stored is every message of a stream by its sequence.
func (h *history) stored(ctx context.Context, name string) (map[uint64]*jetstream.RawStreamMsg, error) {
	stream, err := h.rig.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	all := map[uint64]*jetstream.RawStreamMsg{}
	state := stream.CachedInfo().State
	for sequence := max(1, state.FirstSeq); sequence <= state.LastSeq; sequence++ {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[sequence] = m
	}
	return all, nil
}

// checkResults reads every result that there is.
func (h *history) checkResults(ctx context.Context, asked map[string]bool) (errs []error) {
	results, err := h.stored(ctx, h.subjects.ResultsStream())
	if err != nil {
		return []error{err}
	}
	subjects := map[string]bool{}
	for _, m := range results {
		if subjects[m.Subject] {
			errs = append(errs, fmt.Errorf("%s has two results", m.Subject))
		}
		subjects[m.Subject] = true
		var r purchase.Result
		if err := json.Unmarshal(m.Data, &r); err != nil {
			return append(errs, err)
		}
		if !asked[r.MerchantReference] {
			errs = append(errs, fmt.Errorf("%s has a result, and nobody asked for it", r.MerchantReference))
		}
		errs = append(errs, h.agrees(&r)...)
	}
	return errs
}

// agrees holds a result against the vendor's ledger.
func (h *history) agrees(r *purchase.Result) (errs []error) {
	e, known := h.vendor.Entry(r.Account, r.MerchantReference)
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", r.MerchantReference, fmt.Sprintf(format, args...)))
	}
	switch {
	case r.Status == purchase.StatusCompleted && e.Vends != 1:
		wrong("COMPLETED, and the vendor vended it %d times", e.Vends)
	case r.Status == purchase.StatusFailed && e.Vends != 0:
		wrong("FAILED, and the vendor vended it")
	case known && r.TransactionID != "" && r.TransactionID != e.TransactionID:
		wrong("transaction %s, the vendor's is %s", r.TransactionID, e.TransactionID)
	}
	// Asked for as often as retry.attempts says, and not had on a slow machine, it may
	// be missing.
	givenUp := len(r.Receipt) == 0 && r.Source == purchase.SourcePoll && r.Attempts > attempts
	if r.Status == purchase.StatusCompleted && !givenUp {
		if want := h.vendor.Receipt(r.Account, r.MerchantReference); !bytes.Equal(r.Receipt, want) {
			wrong("a receipt of %d bytes, the vendor's has %d", len(r.Receipt), len(want))
		}
	}
	return errs
}

// watch stands before the vendor: it sees each purchase call as it comes in, and
// holds promise 2 against it.
func (h *history) watch(vendor http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/purchase") {
			vendor.ServeHTTP(w, r)
			return
		}
		arrived := time.Now()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the caller is gone, nothing was asked
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.called(r.Context(), body, arrived)
		vendor.ServeHTTP(w, r)
	})
}

// called is told of a purchase call before the vendor is. What was stored after it
// came in does not bear on it: on a busy machine this looks late, and the caller may
// be gone.
func (h *history) called(ctx context.Context, body []byte, arrived time.Time) {
	p, err := purchase.Parse(body, purchase.Account{Name: account, ChannelID: "7"})
	if err != nil {
		h.complain("a purchase call that cannot be read: %w", err)
		return
	}
	name := h.accountOf(p.Reference)
	h.mu.Lock()
	paused := name == operated && !h.resumed
	h.mu.Unlock()
	if paused {
		h.complain("%s was posted while an operator had paused its account", p.Reference)
	}
	open, _, err := h.store.Handoff(ctx, name, p.Reference)
	if err != nil && ctx.Err() == nil {
		h.complain("%w", err)
	}
	result, err := h.store.Result(ctx, name, p.Reference)
	if err != nil && ctx.Err() == nil {
		h.complain("%w", err)
	}
	e, _ := h.vendor.Entry(name, p.Reference)
	switch {
	case result != nil && !result.ResolvedAt.After(arrived):
		h.tooLate("%s was posted when its result was stored", p.Reference)
	case open != nil && open.State == purchase.OpenInFlight && e.Status.Open() && !open.SubmittedAt.After(arrived):
		h.tooLate("%s was posted while it was open and its answer was stored", p.Reference)
	}
	h.interfere(ctx, p)
}

// tooLate is a call that must not have been made. Where a process stands still
// between its last look and its call it is only counted: nothing outside of the
// vendor can fence it.
func (h *history) tooLate(format string, reference string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.zombie {
		h.late++
		return
	}
	h.wrong = append(h.wrong, fmt.Errorf(format, reference))
}
