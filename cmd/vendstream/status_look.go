package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/quota"
)

const (
	// redisPatience bounds what a look waits for Redis.
	redisPatience = 2 * time.Second
	// rateWindow is what the rate is counted over.
	rateWindow = time.Minute
)

// looker looks at all accounts. It changes nothing but for the short-lived
// consumers that it counts with.
type looker struct {
	*session
	only  string                // an account, or "" for all
	redis redis.UniversalClient // nil where no account has a limit
	notes io.Writer             // standard error
	noted string                // the last note, which is not repeated
	most  uint64                // hand-offs to read of one account
}

func newLooker(s *session, only string, notes io.Writer) (*looker, error) {
	l := &looker{session: s, only: only, notes: notes, most: pendingCap}
	if slices.ContainsFunc(s.cfg.Accounts, func(a config.Account) bool { return a.PurchaseLimit.Requests > 0 && l.wanted(a.Name) }) {
		client, err := dedupe.Open(s.cfg.Redis.URL.Reveal(), dedupe.WithName("vendstream-status"))
		if err != nil {
			return nil, &lifecycle.Exit{Code: lifecycle.Usage, Err: fmt.Errorf("redis.url: %w", err)}
		}
		l.redis = client
	}
	return l, nil
}

func (l *looker) close() {
	if l.redis != nil {
		_ = l.redis.Close() // nothing was written
	}
}

func (l *looker) wanted(account string) bool { return l.only == "" || l.only == account }

// note tells something on standard error, once until another note.
func (l *looker) note(text string) {
	if text != l.noted && text != "" {
		fmt.Fprintln(l.notes, output.Printable(text))
	}
	l.noted = text
}

// look looks at each account once.
func (l *looker) look(ctx context.Context) ([]*statusRow, error) {
	requests, err := l.stream(ctx, l.subjects.RequestsStream())
	if err != nil {
		return nil, err
	}
	pending, err := l.stream(ctx, l.subjects.PendingStream())
	if err != nil {
		return nil, err
	}
	results, err := l.stream(ctx, l.subjects.ResultsStream())
	if err != nil {
		return nil, err
	}
	takers, err := l.consumers(ctx, requests, l.subjects.Requests)
	if err != nil {
		return nil, err
	}
	askers, err := l.consumers(ctx, pending, l.subjects.AllPending)
	if err != nil {
		return nil, err
	}
	// The server's, so that this machine's clock does not matter.
	now := results.CachedInfo().TimeStamp
	accounts := l.accounts(takers)
	known := len(accounts)
	unknown, err := l.unknown(ctx, takers)
	if err != nil {
		return nil, err
	}
	var rows []*statusRow
	for i, account := range append(accounts, unknown...) {
		r := &statusRow{Account: account, Time: now.UTC().Truncate(time.Second), unknown: i >= known}
		if info := takers[account]; info != nil {
			low := takers[broker.LowName(account)]
			r.Backlog, r.InFlight = broker.Unsettled(info, low), inFlight(info)+inFlight(low)
			r.signs = signsOf(info, now)
		} else if r.Backlog, err = l.count(ctx, requests, l.subjects.Requests(account), time.Time{}); err != nil {
			return nil, err // nobody has settled one of them
		}
		if r.Pending, err = l.pending(ctx, pending, askers[account], account, now); err != nil {
			return nil, err
		}
		if r.Rate, err = l.count(ctx, results, l.subjects.AllResults(account), now.Add(-rateWindow)); err != nil {
			return nil, err
		}
		if r.unknown {
			if err := l.lessEnded(ctx, results, r); err != nil {
				return nil, err
			}
		}
		rows = append(rows, r)
	}
	if err := l.pauses(ctx, rows); err != nil {
		return nil, err
	}
	l.limits(ctx, rows)
	for _, r := range rows {
		r.HeldBy = heldBy(r)
		r.DoneIn = doneIn(r)
	}
	return rows, nil
}

// accounts are those to look at: the configured ones as the configuration has
// them, then others that have a consumer, by name.
func (l *looker) accounts(takers map[string]*jetstream.ConsumerInfo) []string {
	var configured, others []string
	for _, a := range l.cfg.Accounts {
		configured = append(configured, a.Name)
	}
	for name := range takers {
		if purchase.ValidAccount(name) && !slices.Contains(configured, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return slices.DeleteFunc(append(configured, others...), func(name string) bool { return !l.wanted(name) })
}

// unknown are accounts that have requests on the stream and nothing else, by name.
func (l *looker) unknown(ctx context.Context, takers map[string]*jetstream.ConsumerInfo) ([]string, error) {
	all, err := broker.NewRequests(l.js, l.subjects).Accounts(ctx)
	if err != nil {
		return nil, unreachable(fmt.Errorf("list the accounts that have requests: %w", err))
	}
	slices.Sort(all)
	return slices.DeleteFunc(all, func(name string) bool {
		configured := slices.ContainsFunc(l.cfg.Accounts, func(a config.Account) bool { return a.Name == name })
		return configured || takers[name] != nil || !l.wanted(name)
	}), nil
}

// lessEnded takes from an unknown account's requests what has come to an end or
// is open: all of it may be left over from when the account was served.
func (l *looker) lessEnded(ctx context.Context, results jetstream.Stream, r *statusRow) error {
	dead, err := l.store.DeadSequences(ctx, r.Account)
	if err != nil {
		return unreachable(err)
	}
	settled, err := l.count(ctx, results, l.subjects.AllResults(r.Account), time.Time{})
	if err != nil {
		return err
	}
	r.Backlog -= min(r.Backlog, uint64(len(dead))+settled+r.Pending.Total)
	return nil
}

// consumers are the accounts' own of a stream by their names: the account's, or
// that for its requests of low priority, with the subject that is theirs.
func (l *looker) consumers(ctx context.Context, stream jetstream.Stream, subject func(account string) string) (map[string]*jetstream.ConsumerInfo, error) {
	all := map[string]*jetstream.ConsumerInfo{}
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		name := info.Config.Durable
		account := strings.TrimPrefix(name, broker.LowName(""))
		if purchase.ValidAccount(account) && info.Config.FilterSubject == subject(account) {
			all[name] = info
		}
	}
	if err := list.Err(); err != nil {
		return nil, unreachable(fmt.Errorf("list the consumers of %s: %w", stream.CachedInfo().Config.Name, err))
	}
	return all, nil
}

func inFlight(info *jetstream.ConsumerInfo) uint64 {
	if info == nil {
		return 0
	}
	return uint64(max(0, info.NumAckPending))
}

func signsOf(info *jetstream.ConsumerInfo, now time.Time) signs {
	s := signs{setUp: true, waiting: info.NumWaiting, since: quiet + 1}
	for _, at := range []*time.Time{info.Delivered.Last, info.AckFloor.Last} {
		if at != nil {
			s.since = min(s.since, now.Sub(*at))
		}
	}
	return s
}

// count is how many messages a subject has since a time, or all with the zero
// time. A new consumer is told how many it would get; it is deleted at once, and
// not one of them is read.
func (l *looker) count(ctx context.Context, stream jetstream.Stream, subject string, since time.Time) (uint64, error) {
	c := jetstream.ConsumerConfig{
		FilterSubject: subject, AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
		MemoryStorage: true, Replicas: 1,
		InactiveThreshold: 10 * time.Second, // where it could not be deleted
	}
	if !since.IsZero() {
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	name := stream.CachedInfo().Config.Name
	consumer, err := stream.CreateConsumer(ctx, c)
	if err != nil {
		return 0, unreachable(fmt.Errorf("count the messages of %s: %w", name, err))
	}
	info := consumer.CachedInfo()
	_ = stream.DeleteConsumer(ctx, info.Name) // or it goes by itself
	return info.NumPending, nil
}

// pauses reads which accounts are paused.
func (l *looker) pauses(ctx context.Context, rows []*statusRow) error {
	records, err := l.records(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		r.Pause = records[r.Account].Cause
	}
	return nil
}

// limits reads what is used of the accounts' limits. Without Redis they have no
// such numbers, which is noted.
func (l *looker) limits(ctx context.Context, rows []*statusRow) {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	note := ""
	for _, r := range rows {
		at := slices.IndexFunc(l.cfg.Accounts, func(a config.Account) bool { return a.Name == r.Account })
		if at < 0 || l.cfg.Accounts[at].PurchaseLimit.Requests <= 0 {
			continue
		}
		limit := l.cfg.Accounts[at].PurchaseLimit
		r.Limit = &statusLimit{Requests: limit.Requests, Per: limit.Per.Seconds(), per: limit.Per}
		if note != "" {
			continue // it would only wait again
		}
		limiter := quota.New(l.redis, l.cfg.Subjects.Prefix, r.Account, quota.Limit{Requests: limit.Requests, Per: limit.Per})
		used, paused, err := limiter.Used(ctx)
		if err != nil {
			note = fmt.Sprintf("what is used of the limits is not known: Redis at %s could not be asked: %v", l.cfg.Redis.URL, err)
			continue
		}
		share := float64(used) / float64(limit.Requests)
		r.Used, r.Share, r.paused = &used, &share, paused
	}
	l.note(note)
}
