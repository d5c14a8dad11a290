package consumer

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
)

// stray is a requests stream with accounts of all kinds on it.
type stray struct {
	*world
	of     map[string][]*worker.Delivery
	served map[string]bool

	digestKey []byte
}

func (s *stray) Accounts(context.Context) (all []string, err error) {
	err = s.do("accounts", func() {
		for account := range s.of {
			all = append(all, account)
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (s *stray) Served(_ context.Context, account string) (yes bool, err error) {
	err = s.do("served", func() { yes = s.served[account] })
	return yes, err
}

func (s *stray) Next(_ context.Context, account string, from uint64) (d *worker.Delivery, err error) {
	err = s.do("next", func() {
		if at := slices.IndexFunc(s.of[account], func(d *worker.Delivery) bool { return d.Sequence >= from }); at >= 0 {
			d = s.of[account][at]
		}
	})
	return d, err
}

func newStray(t *testing.T) *stray {
	return &stray{world: newWorld(t), of: map[string][]*worker.Delivery{}, served: map[string]bool{}}
}

func (s *stray) add(account, body string) {
	m := s.publish(body)
	s.of[account] = append(s.of[account], &m.Delivery)
}

func (s *stray) look(d time.Duration) {
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	strays := &Strays{Known: []string{"acme"}, DigestKey: s.digestKey, Requests: s, Ledger: s, Dead: s, Observer: s, Report: s.config.Report}
	go func() { done <- strays.Run(ctx) }()
	time.Sleep(d)
	stop()
	if err := <-done; err != nil {
		s.t.Errorf("Run: %v", err)
	}
}

func strayBubble(t *testing.T, test func(t *testing.T, s *stray)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newStray(t)) })
}

func TestStrays(t *testing.T) {
	strayBubble(t, func(t *testing.T, s *stray) {
		s.served["served"] = true
		large := body("ref", "50") + strings.Repeat(" ", 64<<10)
		s.add("acme", body("a", "50"))
		s.add("nobody", body("b", "50"))
		s.add("served", body("c", "50"))
		s.add("Odd Töken*>", body("d", "50"))
		s.add("nobody", "{")
		s.add("nobody", body("", "50"))
		s.add("nobody", large)
		s.look(time.Second)
		want := map[uint64]purchase.Reason{
			2: purchase.ReasonUnknownAccount, 4: purchase.ReasonUnknownAccount,
			5: purchase.ReasonMalformed, 6: purchase.ReasonInvalidReference, 7: purchase.ReasonTooLarge,
		}
		if len(s.dead) != len(want) {
			t.Errorf("%d dead letters, want %d", len(s.dead), len(want))
		}
		for sequence, reason := range want {
			if d := s.dead[sequence]; d.Reason != reason || d.Sequence != sequence || d.Detail == "" || string(d.Body) != string(s.messages[sequence-1].Body) {
				t.Errorf("message %d: %s, want %s", sequence, d.Reason, reason)
			}
		}
		if s.dead[4].Account != "Odd Töken*>" {
			t.Errorf("account %q", s.dead[4].Account)
		}
		if told := s.seen(EventBuried); len(told) != len(want) {
			t.Errorf("told %d times", len(told))
		}
	})
}

// New strays are found, and old ones not buried twice by one process.
func TestStraysThatComeLater(t *testing.T) {
	strayBubble(t, func(t *testing.T, s *stray) {
		s.add("nobody", body("a", "50"))
		go func() {
			time.Sleep(3 * time.Second)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.of["nobody"] = append(s.of["nobody"], &worker.Delivery{Sequence: 9, Body: []byte(body("b", "50"))})
		}()
		s.look(10 * time.Second)
		if len(s.dead) != 2 || s.count("dead") != 2 {
			t.Errorf("%d dead letters, %d publishes", len(s.dead), s.count("dead"))
		}
		s.look(time.Second) // a restart finds them buried, and says nothing
		if len(s.dead) != 2 || s.count("dead") != 2 || len(s.seen(EventBuried)) != 2 {
			t.Errorf("%d dead letters, %d publishes", len(s.dead), s.count("dead"))
		}
	})
}

// A process that serves the account came up in the meantime: it is its work.
func TestStraysServedInTheMeantime(t *testing.T) {
	strayBubble(t, func(t *testing.T, s *stray) {
		for _, ref := range []string{"a", "b", "c"} {
			s.add("new", body(ref, "50"))
		}
		s.hooks["dead"] = func() { s.served["new"] = true }
		s.look(10 * time.Second)
		if _, first := s.dead[1]; !first || len(s.dead) != 1 {
			t.Errorf("%d dead letters", len(s.dead))
		}
	})
}

// What an account that was removed has ended or handed over stays as it is, whatever
// its channel was, and whether its digests were made with a key. Another payload
// under the reference has no end to wait for: it is buried.
func TestStraysThatHaveEnded(t *testing.T) {
	key := []byte("secret")
	was := func(reference, amount string, account purchase.Account) *purchase.Request {
		account.Name = "gone"
		r, err := purchase.Parse([]byte(body(reference, amount)), account)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		name string
		then purchase.Account // as it was configured when the end was stored
		now  []byte           // dedupe.digest_key
	}{
		{"plain", purchase.Account{}, nil},
		{"channel", purchase.Account{ChannelID: "7"}, nil},
		{"key", purchase.Account{ChannelID: "7", DigestKey: key}, key},
		{"key that came later", purchase.Account{ChannelID: "7"}, key},
		{"key that is not known", purchase.Account{ChannelID: "7", DigestKey: key}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			strayBubble(t, func(t *testing.T, s *stray) {
				s.digestKey = c.now
				result := func(reference, amount string) {
					r, err := was(reference, amount, c.then).Settle(completed, purchase.Ending{Source: purchase.SourcePurchase})
					if err != nil {
						t.Fatal(err)
					}
					s.results[reference] = r
				}
				handoff := func(reference, amount string) {
					s.handoffs[reference] = was(reference, amount, c.then).HandOver(purchase.Outcome{Kind: purchase.InFlight}, purchase.Submission{})
				}
				result("settled", "50")
				handoff("open", "50")
				handoff("settled beside another's", "60")
				result("settled beside another's", "50")
				result("another's", "60")
				handoff("another's, open", "60")
				handoff("another's, both", "60")
				result("another's, both", "60")
				references := []string{"settled", "open", "settled beside another's", "another's", "another's, open", "another's, both", "none"}
				for _, ref := range references {
					s.add("gone", body(ref, "50.0"))
				}
				s.look(time.Second)
				for i, ref := range references {
					d, buried := s.dead[uint64(i+1)]
					if buried != (i >= 3) || buried && d.Reason != purchase.ReasonUnknownAccount {
						t.Errorf("%s: dead letter %v %q", ref, buried, d.Reason)
					}
				}
			})
		})
	}
}

// Without the key that a result's digest was made with, a payload that differs only
// where the result says nothing is taken for a repeat: it gets no dead letter that
// may be untrue.
func TestStraysOfAnUnknownKey(t *testing.T) {
	strayBubble(t, func(t *testing.T, s *stray) {
		r, err := purchase.Parse([]byte(body("ref", "50")), purchase.Account{Name: "gone", DigestKey: []byte("k")})
		if err != nil {
			t.Fatal(err)
		}
		if s.results["ref"], err = r.Settle(completed, purchase.Ending{Source: purchase.SourcePurchase}); err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(body("ref", "50"), "{", `{"additionalInfo":{"other":true},`, 1)
		s.add("gone", other)
		s.look(time.Second)
		if len(s.dead) != 0 {
			t.Errorf("dead letters %v", s.dead)
		}
		s.digestKey = []byte("k")
		s.look(time.Second)
		if len(s.dead) != 1 {
			t.Errorf("with the key: dead letters %v", s.dead)
		}
	})
}

// Whatever fails is reported and tried again; nothing is skipped.
func TestStraysFail(t *testing.T) {
	for _, effect := range []string{"accounts", "served", "next", "read hand-off", "read result", "dead"} {
		t.Run(effect, func(t *testing.T) {
			strayBubble(t, func(t *testing.T, s *stray) {
				s.add("nobody", body("a", "50"))
				s.add("nobody", body("b", "50"))
				s.faults[effect] = []fault{fails}
				s.look(time.Second)
				if len(s.reports) != 1 || len(s.dead) > 1 {
					t.Errorf("reported %v, %d dead letters", s.reports, len(s.dead))
				}
				s.look(time.Second)
				if len(s.dead) != 2 {
					t.Errorf("%d dead letters", len(s.dead))
				}
			})
		})
	}
}
