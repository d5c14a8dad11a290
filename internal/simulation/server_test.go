package simulation

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/internal/purchase"
)

// link is one process's way to the model of a NATS server. It speaks as much of
// the protocol as the real client needs for publisher.Store and publisher.Publisher,
// so that both run as they are.
type link struct {
	process *process
	streams *streams
	// published, where set, is told of what was stored.
	published func(p *process, s *stream, sequence uint64)
}

// connect makes the process's connection, which ends with the process.
func (l *link) connect() (*nats.Conn, error) {
	nc, err := nats.Connect("nats://model", nats.InProcessServer(l), nats.NoReconnect(), nats.Timeout(time.Hour))
	if err != nil {
		return nil, err
	}
	l.process.mu.Lock()
	l.process.nc = nc
	l.process.mu.Unlock()
	return nc, nil
}

// InProcessConn implements nats.InProcessConnProvider.
func (l *link) InProcessConn() (net.Conn, error) {
	client, server := net.Pipe()
	go (&session{link: l, conn: server}).serve()
	return client, nil
}

// session is the server's end of one connection.
type session struct {
	link *link
	conn net.Conn

	mu   sync.Mutex        // guards what follows, and writing
	sids map[string]string // of the client's subscriptions to its answers, by subject
}

const info = `INFO {"server_id":"MODEL","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576,"jetstream":true}` + "\r\n"

func (s *session) serve() {
	defer func() { _ = s.conn.Close() }()
	if _, err := io.WriteString(s.conn, info); err != nil {
		return
	}
	in := bufio.NewReader(s.conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "PING":
			s.write([]byte("PONG\r\n"))
		case "SUB":
			s.mu.Lock()
			if s.sids == nil {
				s.sids = map[string]string{}
			}
			s.sids[words[1]] = words[len(words)-1]
			s.mu.Unlock()
		case "PUB", "HPUB":
			size, _ := strconv.Atoi(words[len(words)-1])
			payload := make([]byte, size+2)
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			m := &nats.Msg{Subject: words[1], Data: payload[:size]}
			if words[0] == "HPUB" {
				head, _ := strconv.Atoi(words[len(words)-2])
				m.Header, _ = nats.DecodeHeadersMsg(payload[:head])
				m.Data = payload[head:size]
				words = append(words[:len(words)-2], words[len(words)-1])
			}
			if len(words) == 4 {
				m.Reply = words[2]
			}
			go s.request(m)
		}
	}
}

func (s *session) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.conn.Write(b)
}

// request answers one request, as fate has it.
func (s *session) request(m *nats.Msg) {
	p := s.link.process
	name, key := describe(m)
	// What is on the wire is neither called back nor hurried by the client.
	sent := time.Now()
	answer, err := reach(context.Background(), p, "nats", name, key, func() ([]byte, error) {
		if time.Since(sent) > givesUp {
			s.link.streams.heldBack.Store(m.Subject, true)
		}
		return s.link.answer(m)
	})
	if err != nil || m.Reply == "" {
		return
	}
	sid := s.subscribed(m.Reply)
	var out bytes.Buffer
	fmt.Fprintf(&out, "MSG %s %s %d\r\n", m.Reply, sid, len(answer))
	out.Write(answer)
	out.WriteString("\r\n")
	s.write(out.Bytes())
}

func (s *session) subscribed(reply string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pattern, sid := range s.sids {
		if matches(pattern, reply) {
			return sid
		}
	}
	return ""
}

// givesUp is how long the publisher waits for an answer. What arrives later it
// cannot take back.
const givesUp = 5 * time.Second

const (
	getPrefix  = "$JS.API.STREAM.MSG.GET."
	infoPrefix = "$JS.API.STREAM.INFO."
)

type getQuery struct {
	Sequence uint64 `json:"seq"`
	Last     string `json:"last_by_subj"`
}

// describe names a request for fate and trace.
func describe(m *nats.Msg) (name, key string) {
	subject := m.Subject
	if stream, ok := strings.CutPrefix(m.Subject, getPrefix); ok {
		var q getQuery
		_ = json.Unmarshal(m.Data, &q)
		if q.Last == "" {
			return "get " + short(stream), decimal(q.Sequence)
		}
		name, subject = "read "+short(stream), q.Last
	} else if stream, ok := strings.CutPrefix(m.Subject, infoPrefix); ok {
		return "info " + short(stream), ""
	} else {
		name = "publish " + strings.TrimSuffix(strings.Split(subject, ".")[1], "s")
	}
	if strings.HasPrefix(subject, subjects.Requests("acme")) {
		id, _, _ := strings.Cut(strings.TrimPrefix(m.Header.Get("Nats-Msg-Id"), "acme/"), "/")
		return name, id
	}
	token := subject[strings.LastIndexByte(subject, '.')+1:]
	if reference, err := purchase.FromToken(token); err == nil {
		token = reference
	}
	return name, token
}

// answer carries a request out. An error means that nobody answers.
func (l *link) answer(m *nats.Msg) ([]byte, error) {
	if name, ok := strings.CutPrefix(m.Subject, getPrefix); ok {
		return l.get(l.streams.named(name), m.Data), nil
	}
	if name, ok := strings.CutPrefix(m.Subject, infoPrefix); ok {
		return l.info(l.streams.named(name)), nil
	}
	s := l.streams.of(m.Subject)
	if f := s.past(l.process.name); f != nil {
		sequence, refused, silent := s.publishAt(f, m.Subject, m.Header)
		// The leader hears of it too, and what it says comes second.
		at, again, no := s.publish(m.Subject, m.Header, m.Data)
		if no == nil && !again && l.published != nil {
			l.published(l.process, s, at)
		}
		switch {
		case silent && no != nil:
			return encode(map[string]any{"error": no, "stream": s.config.Name, "seq": 0}), nil
		case silent:
			return encode(map[string]any{"stream": s.config.Name, "seq": at, "duplicate": again}), nil
		case refused != nil:
			return encode(map[string]any{"error": refused, "stream": s.config.Name, "seq": 0}), nil
		}
		return encode(map[string]any{"stream": s.config.Name, "seq": sequence, "duplicate": true}), nil
	}
	sequence, duplicate, refused := s.publish(m.Subject, m.Header, m.Data)
	if refused != nil {
		return encode(map[string]any{"error": refused, "stream": s.config.Name, "seq": 0}), nil
	}
	if l.published != nil && !duplicate {
		l.published(l.process, s, sequence)
	}
	return encode(map[string]any{"stream": s.config.Name, "seq": sequence, "duplicate": duplicate}), nil
}

func (l *link) get(s *stream, query []byte) []byte {
	var q getQuery
	_ = json.Unmarshal(query, &q)
	var m *message
	switch f := s.past(l.process.name); {
	case f != nil && q.Last != "":
		m = s.newestAt(f, q.Last)
	case f != nil:
		m = s.atAt(f, q.Sequence)
	case q.Last != "":
		m = s.newest(q.Last)
	default:
		m = s.at(q.Sequence)
	}
	const kind = "io.nats.jetstream.api.v1.stream_msg_get_response"
	if m == nil {
		return encode(map[string]any{"type": kind, "error": errNotThere})
	}
	stored := map[string]any{"subject": m.subject, "seq": m.sequence, "data": m.body, "time": m.stored}
	if len(m.header) > 0 {
		stored["hdrs"] = headerBytes(m.header)
	}
	return encode(map[string]any{"type": kind, "message": stored})
}

// info tells of the subjects, whatever filter was asked for: there is one account.
func (l *link) info(s *stream) []byte {
	counts := map[string]int{}
	there := s.there()
	if f := s.past(l.process.name); f != nil {
		there = s.thereAt(f)
	}
	for _, m := range there {
		counts[m.subject]++
	}
	return encode(map[string]any{
		"type":   "io.nats.jetstream.api.v1.stream_info_response",
		"config": s.config, "created": time.Now(),
		"state": map[string]any{"messages": len(there), "last_seq": len(s.messages), "num_subjects": len(counts), "subjects": counts},
	})
}

func headerBytes(h nats.Header) []byte {
	var out bytes.Buffer
	out.WriteString("NATS/1.0\r\n")
	for name, values := range h {
		for _, value := range values {
			fmt.Fprintf(&out, "%s: %s\r\n", name, value)
		}
	}
	out.WriteString("\r\n")
	return out.Bytes()
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
