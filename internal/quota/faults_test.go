package quota

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/servertest"
)

// Many processes that ask at once never get more than the limit together.
func TestConcurrentLimiters(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		limit := Limit{Requests: 100, Per: time.Hour}
		var granted atomic.Int64
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			l := still(client, "acme", limit)
			wg.Go(func() {
				for range 40 {
					p, _, err := l.Take(t.Context(), 3)
					if err != nil {
						errs[i] = err
						return
					}
					if p.Use() {
						granted.Add(1)
					}
					if err := l.GiveBack(t.Context(), p); err != nil {
						errs[i] = err
						return
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := granted.Load(); got != 100 {
			t.Errorf("%d calls, want 100", got)
		}
	})
}

// Without Redis there are no permits; what became of those that were out is
// told when it is back.
func TestRedisAway(t *testing.T) {
	server := servertest.Redis(t, servertest.RedisAOF())
	l := still(connect(t, server.Addr()), "acme", tenAMinute)
	p, _ := take(t, l, 10)
	if !p.Use() {
		t.Fatal("no permit")
	}
	server.Stop()
	if err := l.GiveBack(t.Context(), p); err == nil {
		t.Error("given back to nobody")
	}
	if q, wait, err := l.Take(t.Context(), 1); err == nil || q.Len() != 0 || wait != 0 {
		t.Errorf("take: %d, %v, %v", q.Len(), wait, err)
	}
	if err := l.Penalize(t.Context(), time.Minute); err == nil {
		t.Error("a penalty that nobody knows of")
	}
	server.Start()
	if q, _ := take(t, l, 10); q.Len() != 9 {
		t.Errorf("%d permits, want the 9 that were given back", q.Len())
	}
}

// Permits that were granted by a call that failed are not lost.
func TestFailedTakeLosesNothing(t *testing.T) {
	w := newWorld(t)
	l := w.limiter(tenAMinute)
	ctx, cancel := context.WithCancel(t.Context())
	w.client.AddHook(cancelAfter{cancel})
	if _, _, err := l.Take(ctx, 64); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if n := len(w.server.Keys()); n != 1 {
		t.Fatalf("%d keys: nothing was granted", n)
	}
	if p, _ := take(t, l, 64); p.Len() != 10 {
		t.Errorf("%d permits, want all 10", p.Len())
	}
}

// cancelAfter makes a command that was obeyed fail with its context.
type cancelAfter struct{ cancel context.CancelFunc }

func (cancelAfter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (cancelAfter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h cancelAfter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && ctx.Done() != nil && ctx.Err() == nil && cmd.Name() == "eval" {
			h.cancel()
			if ctx.Err() != nil {
				cmd.SetErr(ctx.Err())
				return ctx.Err()
			}
		}
		return err
	}
}

// A use that is reported after Redis has lost the log still counts, and the log
// still expires.
func TestRedisForgets(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		l := still(client, "acme", tenAMinute)
		p, _ := take(t, l, 10)
		for range 2 {
			if !p.Use() {
				t.Fatal("no permit")
			}
		}
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		giveBack(t, l, p)
		ttl, err := client.PTTL(t.Context(), l.keys[0]).Result()
		if err != nil || ttl <= 0 || ttl > l.window()+Validity {
			t.Errorf("time to live of the log: %v, %v", ttl, err)
		}
		if q, _ := take(t, l, 64); q.Len() != 8 {
			t.Errorf("%d permits, want 8", q.Len())
		}
	})
}

func TestReportsAreBounded(t *testing.T) {
	l := New(nil, "test", "acme", tenAMinute)
	l.report(make([]report, maxReports-1)...)
	l.report(make([]report, 5)...)
	if len(l.reports) != maxReports {
		t.Errorf("%d reports are kept", len(l.reports))
	}
}

// deafConn loses one answer after the server has obeyed.
type deafConn struct {
	net.Conn
	lose *atomic.Bool
}

func (c deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.lose.CompareAndSwap(true, false) {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Close())
	}
	return n, err
}

// A call whose answer was lost is asked again by the client, and takes its
// permits once.
func TestLostAnswers(t *testing.T) {
	servers(t, func(t *testing.T, client *redis.Client) {
		options := *client.Options()
		lose := new(atomic.Bool)
		options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			return deafConn{conn, lose}, err
		}
		deaf := redis.NewClient(&options)
		defer deaf.Close()
		l := still(deaf, "acme", tenAMinute)
		p, _ := take(t, l, 1) // loads the script
		lose.Store(true)
		q, _ := take(t, l, 8)
		if q.Len() != 8 || lose.Load() {
			t.Fatalf("%d permits, lost %v", q.Len(), !lose.Load())
		}
		lose.Store(true)
		giveBack(t, l, q)
		giveBack(t, l, p)
		if r, _ := take(t, still(client, "acme", tenAMinute), 20); r.Len() != 10 {
			t.Errorf("%d permits, want all 10", r.Len())
		}
	})
}
