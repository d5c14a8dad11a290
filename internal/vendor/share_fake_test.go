package vendor

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"
)

// fakeShare is a share in memory, by the clock of the test's bubble.
type fakeShare struct {
	mu    sync.Mutex
	slots map[string]*fakeSlot
	fail  error         // of every call, where set
	slow  time.Duration // that every call takes, or its context's end
	calls int
}

type fakeSlot struct {
	record          []byte
	stored, expires time.Time
	owner           string
	until           time.Time
}

var errAway = errors.New("scripted: the share is away")

func (f *fakeShare) enter(ctx context.Context, slot string) (*fakeSlot, error) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	if slow > 0 && !pause(ctx, slow) {
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.fail != nil {
		return nil, f.fail
	}
	if f.slots == nil {
		f.slots = map[string]*fakeSlot{}
	}
	s := f.slots[slot]
	if s == nil {
		s = &fakeSlot{}
		f.slots[slot] = s
	}
	if s.record != nil && !time.Now().Before(s.expires) {
		s.record = nil
	}
	return s, nil
}

func (f *fakeShare) Load(ctx context.Context, slot string) ([]byte, time.Duration, error) {
	s, err := f.enter(ctx, slot)
	if err != nil {
		return nil, 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(s.record), time.Since(s.stored), nil
}

func (f *fakeShare) Acquire(ctx context.Context, slot, owner string, seen []byte, lease time.Duration) (bool, error) {
	s, err := f.enter(ctx, slot)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !bytes.Equal(s.record, seen) || (s.owner != "" && s.owner != owner && time.Now().Before(s.until)) {
		return false, nil
	}
	s.owner, s.until = owner, time.Now().Add(lease)
	return true, nil
}

func (f *fakeShare) Store(ctx context.Context, slot, owner string, record []byte, ttl time.Duration) (bool, error) {
	s, err := f.enter(ctx, slot)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.owner != owner {
		return false, nil
	}
	*s = fakeSlot{record: bytes.Clone(record), stored: time.Now(), expires: time.Now().Add(ttl)}
	return true, nil
}

func (f *fakeShare) set(fail error, slow time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.slow = fail, slow
}

// only is the share's one slot.
func (f *fakeShare) only(t *testing.T) *fakeSlot {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.slots) != 1 {
		t.Fatalf("%d slots", len(f.slots))
	}
	for _, s := range f.slots {
		return s
	}
	return nil
}

// sharers makes clients that stand for processes of one account.
func sharers(t *testing.T, n int, share TokenShare, transport http.RoundTripper) []*Client {
	t.Helper()
	clients := make([]*Client, n)
	for i := range clients {
		clients[i] = sharer(t, share, Config{Transport: transport})
	}
	return clients
}

// sharer makes one.
func sharer(t *testing.T, share TokenShare, config Config) *Client {
	t.Helper()
	config.BaseURL, config.Share, config.stretching = "http://vendor.test", share, 1
	return newClient(t, config)
}

// each calls do for every client at once and waits for the end.
func each(clients []*Client, do func(c *Client)) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { do(c) })
	}
	wg.Wait()
}

// brittleShare works for so many calls, and then no more.
type brittleShare struct {
	TokenShare
	left int
}

func (b *brittleShare) use() error {
	b.left--
	if b.left < 0 {
		return errAway
	}
	return nil
}

func (b *brittleShare) Load(ctx context.Context, slot string) ([]byte, time.Duration, error) {
	if err := b.use(); err != nil {
		return nil, 0, err
	}
	return b.TokenShare.Load(ctx, slot)
}

func (b *brittleShare) Acquire(ctx context.Context, slot, owner string, seen []byte, lease time.Duration) (bool, error) {
	if err := b.use(); err != nil {
		return false, err
	}
	return b.TokenShare.Acquire(ctx, slot, owner, seen, lease)
}

func (b *brittleShare) Store(ctx context.Context, slot, owner string, record []byte, ttl time.Duration) (bool, error) {
	if err := b.use(); err != nil {
		return false, err
	}
	return b.TokenShare.Store(ctx, slot, owner, record, ttl)
}

// roundTripper is a transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
