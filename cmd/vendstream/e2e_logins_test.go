package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// Eight processes start at once, are killed, and are started again twice within a
// minute, against a vendor that allows five logins a minute for an address: at most
// two logins a start, none of them refused, every purchase completed, and no token
// or password in Redis.
func TestLoginsOfManyProcesses(t *testing.T) {
	const processes, starts, perStart = 8, 3, 2
	each := 6
	if underRace {
		each = 2
	}
	s := newStack(t, simulator.Config{
		LoginLimit: simulator.Limit{Requests: 5, Per: simulator.Duration(time.Minute)},
	}, "")
	// One purchase at a time in each process, so that all of them take part.
	s.replaceInConfig(`channel_id: "7"`, `channel_id: "7", max_in_flight: 1`)
	if err := s.vendor.Order(simulator.Fault{
		Times: -1, Match: simulator.Match{Endpoint: simulator.EndpointPurchase},
		Steps: []simulator.Step{{Latency: simulator.Duration(50 * time.Millisecond)}},
	}); err != nil {
		t.Fatal(err)
	}
	s.withoutAccount("beta") // each account costs each process a key, slow on purpose
	s.provision()
	begun := time.Now()
	var logins int64
	up, failed := 0, 0
	for start := range starts {
		var running []*exec.Cmd
		for range processes {
			running = append(running, s.process("consumer"))
		}
		up += processes
		for _, addr := range s.addresses(up)[up-processes:] {
			ready(t, addr)
		}
		for i := range processes * each {
			s.publish("acme", electricity(fmt.Sprintf("login-%d-%d", start, i)))
		}
		for i := range processes * each {
			if r := s.result("acme", fmt.Sprintf("login-%d-%d", start, i)); r.Status != purchase.StatusCompleted {
				failed++
				t.Errorf("a purchase failed: %+v", r)
			}
		}
		for _, p := range running {
			if err := p.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = p.Wait() // it was killed
		}
		now := s.vendor.Stats().Total(simulator.EndpointToken)
		if now-logins > perStart {
			t.Errorf("start %d took %d logins", start, now-logins)
		}
		t.Logf("start %d: %d processes, %d purchases, %d logins, %s since the first start",
			start+1, processes, processes*each, now-logins, time.Since(begun).Round(time.Millisecond))
		logins = now
		s.vendor.Revoke("acme", false) // so that a start has something to renew
	}
	st := s.vendor.Stats()
	t.Logf("%d purchases failed; logins by status %v, refreshes %v", failed, st.Calls[simulator.EndpointToken], st.Calls[simulator.EndpointRefresh])
	if st.Logins != logins || logins == 0 {
		t.Errorf("%d of %d logins were good", st.Logins, logins)
	}
	if st.Total(simulator.EndpointRefresh) > 4 {
		t.Errorf("refreshes %v", st.Calls[simulator.EndpointRefresh])
	}
	s.audit()
	s.noDeadLetters()
	s.nothingReadableInRedis("acme-secret", "refreshToken")
}

// addresses waits until that many processes have started, and returns where they
// serve their probes, in the order of their start.
func (s *stack) addresses(n int) []string {
	s.t.Helper()
	var all []string
	eventually(s.t, "all processes work", func() error {
		all = nil
		for _, found := range httpAddress.FindAllStringSubmatch(s.logs.String(), -1) {
			all = append(all, found[1])
		}
		if len(all) < n {
			return fmt.Errorf("%d have started", len(all))
		}
		return nil
	})
	return all
}

var httpAddress = regexp.MustCompile(`"http":"([^"]+)","[^\n]*"message":"started"`)

// withoutAccount takes an account out of the configuration.
func (s *stack) withoutAccount(name string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err == nil {
		text = regexp.MustCompile(`(?m)^  - \{name: `+name+`,.*\n`).ReplaceAll(text, nil)
		err = os.WriteFile(s.config, text, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// nothingReadableInRedis looks for secrets in what is kept about tokens.
func (s *stack) nothingReadableInRedis(secrets ...string) {
	s.t.Helper()
	options, err := redis.ParseURL(s.redis.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	found := 0
	keys := client.Scan(s.t.Context(), 0, "purchases:tokens:*", 0).Iterator()
	for keys.Next(s.t.Context()) {
		found++
		fields, err := client.HGetAll(s.t.Context(), keys.Val()).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(keys.Val()+fmt.Sprint(fields), secret) {
				s.t.Errorf("%s… is readable in Redis", secret[:4])
			}
		}
	}
	if err := keys.Err(); err != nil || found == 0 {
		s.t.Errorf("%d records in Redis, %v", found, err)
	}
}
