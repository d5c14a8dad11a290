package vendor

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func testVault(t *testing.T, id identity) *vault {
	t.Helper()
	v, err := newVault(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var someIdentity = identity{"acme", "http://vendor.test", "user", "password"}

func sealed(t *testing.T, v *vault, plain string) []byte {
	t.Helper()
	s, err := v.seal([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedRecordOpensForTheSameIdentityOnly(t *testing.T) {
	v := testVault(t, someIdentity)
	record := sealed(t, v, "plain text")
	again := testVault(t, someIdentity)
	if again.slot != v.slot {
		t.Errorf("slots %s and %s of one identity", v.slot, again.slot)
	}
	if plain, err := again.open(record); err != nil || string(plain) != "plain text" {
		t.Errorf("%q, %v", plain, err)
	}
	for name, other := range map[string]identity{
		"password":        {"acme", "http://vendor.test", "user", "other"},
		"account":         {"beta", "http://vendor.test", "user", "password"},
		"vendor":          {"acme", "http://other.test", "user", "password"},
		"user":            {"acme", "http://vendor.test", "other", "password"},
		"shifted borders": {"acm", "ehttp://vendor.test", "user", "password"},
	} {
		o := testVault(t, other)
		if o.slot == v.slot {
			t.Errorf("another %s has the same slot", name)
		}
		if _, err := o.open(record); !errors.Is(err, errSealed) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	// What is sealed along is enough, also where the key is the same.
	moved := *v
	moved.about = []byte("elsewhere")
	if _, err := moved.open(record); !errors.Is(err, errSealed) {
		t.Errorf("moved to another account: %v", err)
	}
}

func TestChangedRecordDoesNotOpen(t *testing.T) {
	v := testVault(t, someIdentity)
	record := sealed(t, v, "plain text")
	for i := range record {
		changed := bytes.Clone(record)
		changed[i] ^= 1
		if _, err := v.open(changed); !errors.Is(err, errSealed) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := v.open(record[:i]); !errors.Is(err, errSealed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestSealedRecordsAreNeverAlikeAndShowNothing(t *testing.T) {
	v := testVault(t, someIdentity)
	seen := map[string]bool{}
	for range 100 {
		record := sealed(t, v, "plain text")
		if seen[string(record)] {
			t.Fatal("two records are alike")
		}
		seen[string(record)] = true
		for _, secret := range []string{"plain", someIdentity.password, string(v.master)} {
			if bytes.Contains(record, []byte(secret)) {
				t.Fatal("the record shows what is in it")
			}
		}
	}
}

// A weak password is the only thing between a reader of the store and the token.
func TestPasswordIsStretched(t *testing.T) {
	if stretching < 210_000 {
		t.Errorf("%d iterations", stretching)
	}
	config := Config{Account: "acme", BaseURL: "http://vendor.test", Username: "user", Password: "password", Share: &fakeShare{}}
	c := newClient(t, config)
	want, err := newVault(identity{"acme", "http://vendor.test", "user", "password"}, stretching)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.session.sharing.lazy.vault; got == nil || got.slot != want.slot {
		t.Error("the client stretches otherwise, or not when it is prepared")
	}
}

// The password is stretched once, when it is first needed; whoever has to wait for
// a turn waits no longer than it wants to.
func TestStretchedOnce(t *testing.T) {
	l := &lazyVault{id: someIdentity, iterations: 1}
	for range cap(stretchings) {
		stretchings <- struct{}{}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("waited for a turn: %v", err)
	}
	for range cap(stretchings) {
		<-stretchings
	}
	first, err := l.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A vault that is there needs no turn.
	if again, err := l.get(ended); err != nil || again != first {
		t.Errorf("made again, %v", err)
	}
	if err := newClient(t, Config{BaseURL: "http://vendor.test", Username: "u", Password: "p"}).Prepare(ended); err != nil {
		t.Errorf("nothing to prepare without a share: %v", err)
	}
}

func BenchmarkStretching(b *testing.B) {
	for b.Loop() {
		if _, err := newVault(someIdentity, stretching); err != nil {
			b.Fatal(err)
		}
	}
}
