// Package pausetest is a store of pauses in memory, for tests that cannot hold
// sockets, and what every store must do, so that the two are held together.
package pausetest

import (
	"context"
	"slices"
	"sync"

	"github.com/vendstream/vendstream/internal/pause"
)

// Memory is a pause.Store. It is safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	away     error
	entries  map[string]pause.Entry
	last     uint64
	watchers []chan string // in the order in which they came
	saves    int
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{entries: map[string]pause.Entry{}}
}

// Away makes every call fail with err, until it is called with nil.
func (m *Memory) Away(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = err
}

// Saves is how many records were stored.
func (m *Memory) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

// Load implements pause.Store.
func (m *Memory) Load(_ context.Context, account string) (pause.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[account], m.away
}

// Save implements pause.Store.
func (m *Memory) Save(_ context.Context, account string, r pause.Record, revision uint64) (pause.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return pause.Entry{}, m.away
	}
	if m.entries[account].Revision != revision {
		return pause.Entry{}, pause.ErrChanged
	}
	m.last++
	m.saves++
	e := pause.Entry{Record: r, Revision: m.last}
	m.entries[account] = e
	for _, w := range m.watchers {
		w <- account
	}
	return e, nil
}

// Watch implements pause.Store.
func (m *Memory) Watch(ctx context.Context, each func(string, pause.Entry), seen func()) error {
	changed := make(chan string, 1000)
	m.mu.Lock()
	if m.away != nil {
		defer m.mu.Unlock()
		return m.away
	}
	for account, e := range m.entries {
		each(account, e)
	}
	m.watchers = append(m.watchers, changed)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(w chan string) bool { return w == changed })
	}()
	seen()
	for {
		select {
		case <-ctx.Done():
			return nil
		case account := <-changed:
			e, err := m.Load(ctx, account)
			if err != nil {
				return err
			}
			each(account, e)
		}
	}
}
