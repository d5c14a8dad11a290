package vendor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// TokenShare is where the processes of an account keep one token together: a
// record, and the right to replace it, which one process has at a time. To the
// share a record is bytes. No two are alike, so the record seen last is what a
// change is compared with.
//
// All methods obey the context's deadline and may be called from many
// goroutines. An error means that this process goes on by itself.
type TokenShare interface {
	// Load returns the slot's record, nil if there is none, and how long ago it was
	// stored, by a clock that all processes share.
	Load(ctx context.Context, slot string) (record []byte, age time.Duration, err error)
	// Acquire gives owner the right to replace the record, for the time of lease,
	// and prolongs it for the owner who has it. False: the record is not the one
	// seen (nil: none) any more, or another owner has the right.
	Acquire(ctx context.Context, slot, owner string, seen []byte, lease time.Duration) (bool, error)
	// Store replaces the record, to be forgotten after ttl, and ends the right.
	// False, and nothing is stored, where owner has not got it any more.
	Store(ctx context.Context, slot, owner string, record []byte, ttl time.Duration) (bool, error)
}

const (
	// shareTimeout is for each call to the share: a purchase waits for it.
	shareTimeout = 250 * time.Millisecond
	// sharePoll is how often a process looks whether another's login has ended.
	sharePoll = 100 * time.Millisecond
	// shareLease is how long the others wait for a process that died in the middle
	// of a login. One that lives prolongs it, however slow the vendor is.
	shareLease = 5 * time.Second
)

var errElsewhere = errors.New("another process is getting the token")

// sharing is a session's part in a share. It belongs to the one renewal that is
// under way.
type sharing struct {
	share TokenShare
	lazy  *lazyVault
	vault *vault // nil until the first renewal
	owner string
	seen  []byte // the record seen last
}

func newSharing(share TokenShare, lazy *lazyVault) *sharing {
	return &sharing{share: share, lazy: lazy, owner: rand.Text()}
}

// prepare makes the vault, where there is a share.
func (s *session) prepare(ctx context.Context) error {
	if s.sharing == nil {
		return nil
	}
	_, err := s.sharing.lazy.get(ctx)
	return err
}

// obtain gets a token, together with the account's other processes where there
// is a share.
func (s *session) obtain(ctx context.Context, by way) error {
	if s.sharing == nil {
		return s.ask(ctx, by)
	}
	var err error
	if s.sharing.vault, err = s.sharing.lazy.get(ctx); err != nil {
		return s.ask(ctx, by)
	}
	for {
		learned, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return &tokenError{purchase.Unreachable, fmt.Errorf("%w: %w", errElsewhere, ctx.Err())}
		case err != nil:
			return s.ask(ctx, by)
		case learned:
			return nil
		}
		if held := s.heldOff(by); held != nil {
			return held
		}
		granted, err := s.sharing.acquire(ctx)
		switch {
		case ctx.Err() != nil: // as above; the right ends by itself
		case err != nil:
			return s.ask(ctx, by)
		case granted:
			return s.askForAll(by)
		}
		pause(ctx, sharePoll)
	}
}

// look reads the share and learns from it. True: there was a token.
func (s *session) look(ctx context.Context) (bool, error) {
	sh := s.sharing
	asked := s.client.now()
	limited, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	sealed, age, err := sh.share.Load(limited, sh.vault.slot)
	if err != nil || bytes.Equal(sealed, sh.seen) {
		return false, err
	}
	sh.seen = sealed
	r, err := sh.open(sealed)
	if err != nil {
		return false, nil //nolint:nilerr // not ours to read: as if there were none
	}
	return s.learn(r, age, asked, s.client.now()), nil
}

// askForAll asks the vendor with the right to do so, and tells the others what
// came of it. It has the whole time limit, of which the wait for the right has
// used some: a call cut short would look like a failure of the vendor's.
func (s *session) askForAll(by way) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.client.timeout)
	defer cancel()
	release := s.sharing.keep(ctx)
	err := s.ask(ctx, by)
	release()
	s.sharing.publish(context.WithoutCancel(ctx), s.tell())
	return err
}

// keep prolongs the right until release is called, which waits for the end of it.
func (sh *sharing) keep(ctx context.Context) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, shareLease/3) {
			// Not prolonged, it is another's sooner or later: at worst one login more.
			_, _ = sh.acquire(ctx)
		}
	}()
	return func() { cancel(); <-ended }
}

func (sh *sharing) acquire(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	return sh.share.Acquire(ctx, sh.vault.slot, sh.owner, sh.seen, shareLease)
}

// publish stores a record. Where that fails the others find it out for
// themselves when the right has ended.
func (sh *sharing) publish(ctx context.Context, r record) {
	plain, err := r.marshal()
	if err != nil {
		return
	}
	sealed, err := sh.vault.seal(plain)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	if stored, err := sh.share.Store(ctx, sh.vault.slot, sh.owner, sealed, r.ttl()); err == nil && stored {
		sh.seen = sealed
	}
}

func (sh *sharing) open(sealed []byte) (record, error) {
	plain, err := sh.vault.open(sealed)
	if err != nil {
		return record{}, err
	}
	return unmarshalRecord(plain)
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
