package dedupe

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/servertest"
)

func TestOpenDefaultsAndOptions(t *testing.T) {
	client, err := Open("redis://user:pw@127.0.0.1:1/3", WithName("vendstream"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o := client.(*redis.Client).Options()
	if o.Addr != "127.0.0.1:1" || o.DB != 3 || o.Username != "user" || o.Password != "pw" || o.ClientName != "vendstream" || o.TLSConfig != nil {
		t.Errorf("%s, database %d, user %s, name %s, TLS %v", o.Addr, o.DB, o.Username, o.ClientName, o.TLSConfig != nil)
	}
	if !o.ContextTimeoutEnabled || o.DialTimeout != 2*time.Second || o.ReadTimeout != 3*time.Second ||
		o.WriteTimeout != 3*time.Second || o.PoolSize != 32 || o.MaxRetries != 2 {
		t.Errorf("defaults: %+v", o)
	}

	client, err = Open("rediss://example.invalid:6380?pool_size=5&dial_timeout=7s&read_timeout=8s&write_timeout=9s&max_retries=1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o = client.(*redis.Client).Options()
	if o.TLSConfig == nil || o.PoolSize != 5 || o.DialTimeout != 7*time.Second || o.ReadTimeout != 8*time.Second ||
		o.WriteTimeout != 9*time.Second || o.MaxRetries != 1 {
		t.Errorf("options of the URL: %+v", o)
	}
}

func TestOpenSentinel(t *testing.T) {
	client, err := Open("redis+sentinel://user:pw@127.0.0.1:1/2?master_name=main&addr=127.0.0.1:2", WithName("vendstream"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o := client.(*redis.Client).Options()
	if o.DB != 2 || o.Password != "pw" || !o.ContextTimeoutEnabled || o.PoolSize != 32 {
		t.Errorf("database %d, password %q, pool %d", o.DB, o.Password, o.PoolSize)
	}
	if err := client.Ping(t.Context()).Err(); err == nil || strings.Contains(err.Error(), "pw") {
		t.Errorf("no sentinel is there: %v", err)
	}
}

// The store works in a cluster: scripts are loaded on its nodes, and a batch may
// touch any slot.
func TestOpenCluster(t *testing.T) {
	server := servertest.Redis(t, servertest.RedisArgs("--cluster-enabled", "yes"))
	single := open(t, server.URL())
	if err := single.(*redis.Client).ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for {
		info, err := single.ClusterInfo(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info, "cluster_state:ok") {
			break
		}
	}
	client, err := Open("redis+cluster://"+server.Addr(), WithName("vendstream"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := New(client, Config{})
	claims := make([]Claim, 200)
	for i := range claims {
		claims[i] = claimOf("{"+number(i)+"}", "me")
	}
	answers, err := s.Claim(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Verdict != purchase.ClaimNew {
			t.Errorf("claim %d: %v", i, a.Verdict)
		}
	}
	// A client that takes the node for a single server is told of the slots.
	plain := New(single, Config{})
	for i := range claims {
		claims[i].Owner = "you"
	}
	all(t, plain, claims, purchase.ClaimInFlight)
	if plain.spread.Load() != spreadApart {
		t.Error("a node of a cluster is taken for a single server")
	}
	if warning, err := s.CheckPolicy(t.Context()); warning != "" || err != nil {
		t.Errorf("policy: %q, %v", warning, err)
	}
	if err := client.ConfigSet(t.Context(), policySetting, "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckPolicy(t.Context()); !errors.Is(err, ErrEviction) {
		t.Errorf("policy: %v", err)
	}
}

func TestOpenRefusesWithoutThePassword(t *testing.T) {
	const secret = "5ecret"
	for _, url := range []string{
		"", "127.0.0.1:6379", secret + "://host", "redis+" + secret + "://host", "http://:" + secret + "@host",
		"redis://user:" + secret + "@host:port", "redis://user:" + secret + "@host:6379/not-a-number",
		"redis://user:" + secret + "@host:6379?no_such_option=1", "redis://user:" + secret + "@ho st",
		"redis://user:%zz" + secret + "@host", "redis://user:1/" + secret + "@host:6379",
		"redis://user:1?" + secret + "=@host:6379", "redis://user:a@b/" + secret + "@host:6379",
		"redis://user:a#" + secret + "@host", "redis+sentinel://:" + secret + "@host:6379",
		"redis+sentinel://:" + secret + "@host:6379?no_such_option=1", "redis+cluster://:" + secret + "@host:6379?no_such_option=1",
		"redis+sentinel://host?master_name=main&password=" + secret,
		"redis+cluster://user:1?" + secret + "=@host:6379",
	} {
		client, err := Open(url)
		if err == nil {
			client.Close()
			t.Errorf("%q was opened", url)
			continue
		}
		if !errors.Is(err, ErrURL) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := Open("redis://host:6379/x"); err == nil || !strings.Contains(err.Error(), "database number") {
		t.Errorf("the reason is not told: %v", err)
	}
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	err := New(open(t, "redis://:5ecret@"+server.Addr()), Config{}).Ping(t.Context())
	if err == nil || strings.Contains(err.Error(), "5ecret") {
		t.Errorf("got %v", err)
	}
}
