package main

import (
	"fmt"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// A backlog of low priority stands in front of one purchase, on an account that
// may buy ten in a second. It goes first, all the same, and the others follow.
func TestLowPriorityGoesBehind(t *testing.T) {
	t.Parallel()
	s := newStack(t, simulator.Config{}, "")
	s.replaceInConfig(`channel_id: "7", purchase_limit: {requests: 0}}`, `channel_id: "7", purchase_limit: {requests: 10, per: 1s}}`)
	s.provision()
	const many = 60
	for i := range many {
		s.publish("acme", airtime(fmt.Sprintf("low-%d", i)), publisher.HeaderPriority, "low")
	}
	s.publish("acme", airtime("first"))
	s.daemon("serve")
	first := s.result("acme", "first")
	if first.Status != purchase.StatusCompleted {
		t.Fatalf("%+v", first)
	}
	before := 0
	for i := range many {
		r := s.result("acme", fmt.Sprintf("low-%d", i))
		if r.Status != purchase.StatusCompleted {
			t.Errorf("%+v", r)
		}
		if r.ResolvedAt.Before(first.ResolvedAt) {
			before++
		}
	}
	if before > many/3 {
		t.Errorf("%d of %d of low priority went before it", before, many)
	}
	s.settled()
}
