package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/publisher"
)

const (
	// readAhead bounds what a Read holds in memory.
	readAhead = jetstream.PullMaxBytes(16 << 20)
	// readQuiet is how long a Read waits for a message before it asks whether
	// there is one to wait for.
	readQuiet = 5 * time.Second
	askWait   = 10 * time.Second
)

// Trail reads the streams for those who check what became of requests, and
// purges requests for housekeeping.
type Trail struct {
	js       jetstream.JetStream
	subjects publisher.Subjects
}

// NewTrail makes a Trail.
func NewTrail(js jetstream.JetStream, subjects publisher.Subjects) *Trail {
	return &Trail{js: js, subjects: subjects}
}

// Stream is what the leader says of a stream.
type Stream struct {
	Messages uint64
	First    uint64 // sequence of the first message
	Last     uint64 // sequence of the newest
	MaxAge   time.Duration
}

// Stream reads the state of a stream.
func (t *Trail) Stream(ctx context.Context, name string) (Stream, error) {
	s, err := t.js.Stream(ctx, name)
	if err != nil {
		return Stream{}, fmt.Errorf("broker: stream %s: %w", name, err)
	}
	info := s.CachedInfo()
	return Stream{
		Messages: info.State.Msgs, First: info.State.FirstSeq, Last: info.State.LastSeq, MaxAge: info.Config.MaxAge,
	}, nil
}

// Floors are, for each account with a durable consumer of its requests, the
// highest sequence up to which all of these consumers have acknowledged all of
// the account's requests. A consumer that does not tell is an error.
func (t *Trail) Floors(ctx context.Context) (map[string]uint64, error) {
	name := t.subjects.RequestsStream()
	stream, err := t.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("broker: stream %s: %w", name, err)
	}
	names := stream.ConsumerNames(ctx)
	missing := map[string]bool{}
	for n := range names.Name() {
		missing[n] = true
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("broker: list the consumers of %s: %w", name, err)
	}
	floors := map[string]uint64{}
	add := func(info *jetstream.ConsumerInfo) {
		delete(missing, info.Name)
		if info.Config.Durable == "" {
			return // somebody reading
		}
		filters := info.Config.FilterSubjects
		if info.Config.FilterSubject != "" {
			filters = []string{info.Config.FilterSubject}
		}
		for _, filter := range filters {
			account := t.subjects.AccountOf(filter)
			if !purchase.ValidAccount(account) || filter != t.subjects.Requests(account) {
				continue
			}
			if have, there := floors[account]; !there || info.AckFloor.Stream < have {
				floors[account] = info.AckFloor.Stream
			}
		}
	}
	infos := stream.ListConsumers(ctx)
	for info := range infos.Info() {
		add(info)
	}
	if err := infos.Err(); err != nil {
		return nil, fmt.Errorf("broker: list the consumers of %s: %w", name, err)
	}
	// In a cluster the list leaves out those that did not answer in time.
	for n := range missing {
		c, err := stream.Consumer(ctx, n)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrNotPullConsumer):
		case err != nil:
			return nil, fmt.Errorf("broker: consumer %s/%s: %w", name, n, err)
		default:
			add(c.CachedInfo())
		}
	}
	return floors, nil
}

// Reading says what to read of a stream: from a sequence or a time on, or all.
type Reading struct {
	Stream      string
	Subjects    []string  // none: all
	Sequence    uint64    // first to read; 0: by Since
	Since       time.Time // stored at or after; zero: from the first
	HeadersOnly bool
}

// ErrEnough ends Read and Walk from within.
var ErrEnough = errors.New("broker: enough")

// Read gives the messages that are on a stream now to each, in order and without
// gaps. It holds a bounded part of them at a time. Any replica may be read from:
// a message that is given is stored, and one that was stored a moment ago may be
// missing.
func (t *Trail) Read(ctx context.Context, r Reading, each func(d *worker.Delivery) error) error {
	state, err := t.Stream(ctx, r.Stream)
	if err != nil || state.Messages == 0 {
		return err
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: r.Subjects, HeadersOnly: r.HeadersOnly}
	switch {
	case r.Sequence > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.Sequence
	case !r.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.Since
	}
	consumer, err := t.js.OrderedConsumer(ctx, r.Stream, config)
	if err != nil {
		return fmt.Errorf("broker: read %s: %w", r.Stream, err)
	}
	info := consumer.CachedInfo()
	defer func() {
		// It would go by itself, after minutes. It bears a new name where it was made again.
		if info := consumer.CachedInfo(); info != nil {
			drop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = t.js.DeleteConsumer(drop, r.Stream, info.Name)
		}
	}()
	if info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(readAhead)
	if err != nil {
		return fmt.Errorf("broker: read %s: %w", r.Stream, err)
	}
	defer messages.Stop()
	for {
		m, err := next(ctx, messages)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			// The rest may have been purged, or have expired, since the beginning.
			if now, err := consumer.Info(ctx); err == nil && now.NumPending == 0 {
				return nil
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("broker: read %s: %w", r.Stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("broker: read %s: %w", r.Stream, err)
		}
		if meta.Sequence.Stream > state.Last {
			return nil
		}
		err = each(&worker.Delivery{
			Subject: m.Subject(), Header: m.Headers(), Body: m.Data(),
			Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Count: 1,
		})
		switch {
		case errors.Is(err, ErrEnough):
			return nil
		case err != nil:
			return err
		case meta.NumPending == 0:
			return nil
		}
	}
}

func next(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	wait, cancel := context.WithTimeout(ctx, readQuiet)
	defer cancel()
	return messages.Next(jetstream.NextContext(wait))
}

// Next is the first message of a subject, which may have wildcards, at or after a
// sequence, as the leader has it, and nil where there is none. It does not use
// direct gets, which any replica may answer.
func (t *Trail) Next(ctx context.Context, stream, subject string, from uint64) (*worker.Delivery, error) {
	var answer storedMessage
	err := t.ask(ctx, "STREAM.MSG.GET."+stream, map[string]any{"seq": max(1, from), "next_by_subj": subject}, &answer)
	if err != nil {
		return nil, fmt.Errorf("broker: read %s: %w", stream, err)
	}
	return answer.delivery(stream)
}

// storedMessage is the leader's answer to a request for a message.
type storedMessage struct {
	Error   *jetstream.APIError `json:"error"`
	Message *struct {
		Subject  string    `json:"subject"`
		Sequence uint64    `json:"seq"`
		Header   []byte    `json:"hdrs"`
		Data     []byte    `json:"data"`
		Time     time.Time `json:"time"`
	} `json:"message"`
}

// delivery is the message; nil where there is none.
func (a *storedMessage) delivery(stream string) (*worker.Delivery, error) {
	switch {
	case a.Error != nil && a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case a.Error != nil:
		return nil, fmt.Errorf("broker: read %s: %w", stream, a.Error)
	case a.Message == nil:
		return nil, fmt.Errorf("broker: read %s: the server answered without a message", stream)
	}
	m := a.Message
	d := &worker.Delivery{Subject: m.Subject, Body: m.Data, Sequence: m.Sequence, Time: m.Time, Count: 1}
	if len(m.Header) > 0 {
		// Headers that cannot be read are left out, as the client does with a delivery.
		h, _ := nats.DecodeHeadersMsg(m.Header)
		d.Header = h
	}
	return d, nil
}

// ask sends a request to the JetStream API and reads the answer.
func (t *Trail) ask(ctx context.Context, subject string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	reply, err := t.js.Conn().RequestWithContext(ctx, "$JS.API."+subject, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply.Data, answer)
}

// Walk gives the messages of a subject that are on a stream now to each, in order,
// as the leader has them: one request for each message. It is for streams where a
// second consumer is not allowed, and for where a gap would be fatal. ErrEnough
// ends it.
func (t *Trail) Walk(ctx context.Context, stream, subject string, each func(*worker.Delivery) error) error {
	state, err := t.Stream(ctx, stream)
	if err != nil {
		return err
	}
	for from := state.First; from <= state.Last; {
		d, err := t.Next(ctx, stream, subject, from)
		if err != nil || d == nil {
			return err
		}
		switch err := each(d); {
		case errors.Is(err, ErrEnough):
			return nil
		case err != nil:
			return err
		}
		from = d.Sequence + 1
	}
	return nil
}

// PurgeRequests removes an account's requests below a sequence and returns how
// many there were. The caller has proven each of them settled.
func (t *Trail) PurgeRequests(ctx context.Context, account string, below uint64) (uint64, error) {
	if below <= 1 {
		return 0, nil // a purge below 0 is one of everything
	}
	if account == "" || strings.ContainsAny(account, "*>") {
		return 0, fmt.Errorf("broker: purge: %q is not one account", account)
	}
	var answer struct {
		Error  *jetstream.APIError `json:"error"`
		Purged uint64              `json:"purged"`
	}
	// By hand: the client does not tell how many were removed.
	name := t.subjects.RequestsStream()
	err := t.ask(ctx, "STREAM.PURGE."+name, map[string]any{"filter": t.subjects.Requests(account), "seq": below}, &answer)
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		return 0, fmt.Errorf("broker: purge %s: %w", name, err)
	}
	return answer.Purged, nil
}
