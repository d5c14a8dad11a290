package publisher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
)

// HeaderRepairs, on a request, says that it puts the request with that sequence
// back to work, whose end was lost: nobody knows whether it was sent to the
// vendor, so that it is handled as one that may have been.
const HeaderRepairs = "Vendstream-Repairs"

// ErrNoRequest is returned where a request is no longer on the stream.
var ErrNoRequest = errors.New("publisher: the request is no longer there")

// ErrMayHaveBeenSent is returned where a request cannot be repaired: its time to
// be sent is over, and nobody knows whether it was sent before that.
var ErrMayHaveBeenSent = errors.New("publisher: the request has expired and may have been sent before that: only the vendor can tell")

// Repair publishes a request of an account once more, with its body and its
// headers, and returns the new sequence. Repeated within the server's window of
// duplicates it stores nothing new; later it stores a repeat, which is harmless.
// Errors: ErrNoRequest, ErrMayHaveBeenSent, and those of Publisher.Submit.
func (s *Store) Repair(ctx context.Context, account string, sequence uint64) (uint64, error) {
	original, err := s.Original(ctx, account, sequence)
	if err != nil {
		return 0, err
	}
	if original.Body == nil {
		return 0, fmt.Errorf("%w: %d", ErrNoRequest, sequence)
	}
	if err := original.Repairable(time.Now()); err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: s.subjects.Requests(account), Header: repairHeader(original), Data: original.Body}
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	p := Publisher{wire: s.Wire, subjects: s.subjects}
	done, err := p.submit(ctx, Request{Account: account, Body: original.Body}, m, "")
	return done.Sequence, err
}

// Repairable says whether Repair would publish the request, as Original has read
// it: nil, or ErrMayHaveBeenSent.
func (d DeadLetter) Repairable(now time.Time) error {
	if at, refusal := purchase.Expiry(Values(d.Header, HeaderExpiresAt)); refusal == nil && !at.IsZero() && !now.Before(at) {
		return ErrMayHaveBeenSent
	}
	return nil
}

// repairHeader are the original's headers without those that JetStream would
// obey again.
func repairHeader(d DeadLetter) nats.Header {
	h := nats.Header{}
	for name, values := range d.Header {
		if !obeyed(name) && !strings.EqualFold(name, HeaderRepairs) {
			h[name] = values
		}
	}
	h[HeaderMessageID] = []string{"repair/" + d.Account + "/" + strconv.FormatUint(d.Sequence, 10)}
	h[HeaderRepairs] = []string{strconv.FormatUint(d.Sequence, 10)}
	return h
}

// Repairs is the sequence of the request that a message repairs, and 0 where it
// repairs none.
func Repairs(h map[string][]string) uint64 {
	n, err := strconv.ParseUint(Header(h, HeaderRepairs), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
