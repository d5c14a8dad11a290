package publisher

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vendstream/vendstream/internal/purchase"
)

// ResultBody reads the body of a purchase's result as it is stored, and nil
// where it has none.
func (s *Store) ResultBody(ctx context.Context, account, reference string) (json.RawMessage, error) {
	m, err := s.last(ctx, s.results, s.subjects.Result(account, reference))
	if err != nil {
		return nil, fmt.Errorf("publisher: read a result: %w", err)
	}
	if m == nil {
		return nil, nil
	}
	return m.Data, nil
}

// Dead reads a dead letter, and nil where the message with that sequence is
// none. Header is the dead letter's own, with the reason among it.
func (s *Store) Dead(ctx context.Context, account string, sequence uint64) (*DeadLetter, error) {
	m, err := s.last(ctx, s.dead, s.subjects.Dead(account, sequence))
	if err != nil {
		return nil, fmt.Errorf("publisher: read a dead letter: %w", err)
	}
	if m == nil {
		return nil, nil
	}
	return &DeadLetter{
		Account:  account,
		Sequence: sequence,
		Reason:   purchase.Reason(Header(m.Header, HeaderReason)),
		Detail:   Header(m.Header, HeaderDetail),
		Header:   m.Header,
		Body:     m.Data,
	}, nil
}
