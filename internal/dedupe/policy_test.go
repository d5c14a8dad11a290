package dedupe

import (
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/vendstream/vendstream/internal/servertest"
)

func TestPolicyOfARealServer(t *testing.T) {
	server := servertest.Redis(t)
	client := open(t, server.URL())
	s, ctx := New(client, Config{}), t.Context()
	if warning, err := s.CheckPolicy(ctx); warning != "" || err != nil {
		t.Errorf("noeviction: %q, %v", warning, err)
	}
	for _, policy := range []string{"allkeys-lru", "allkeys-random", "volatile-lfu", "volatile-ttl"} {
		if err := client.ConfigSet(ctx, policySetting, policy).Err(); err != nil {
			t.Fatal(err)
		}
		warning, err := s.CheckPolicy(ctx)
		if !errors.Is(err, ErrEviction) || warning != "" || !strings.Contains(err.Error(), policy) {
			t.Errorf("%s: %q, %v", policy, warning, err)
		}
	}
}

// A service that forbids one of the two ways to ask tells by the other.
func TestPolicyWhereCommandsAreForbidden(t *testing.T) {
	for _, c := range []struct {
		name, forbidden string
		warns           bool
	}{
		{"config", "-config", false},
		{"info", "-info", false},
		{"both", "-config -info", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := servertest.Redis(t, servertest.RedisArgs(append([]string{
				"--user", "limited", "on", ">pw", "~*", "+@all"}, strings.Fields(c.forbidden)...)...))
			s := New(open(t, "redis://limited:pw@"+server.Addr()), Config{})
			warning, err := s.CheckPolicy(t.Context())
			if err != nil || (warning != "") != c.warns {
				t.Errorf("%q, %v", warning, err)
			}
		})
	}
}

func TestPolicyOfAnEmbeddedServer(t *testing.T) {
	server := miniredis.RunT(t)
	warning, err := New(open(t, "redis://"+server.Addr()), Config{}).CheckPolicy(t.Context())
	if err != nil || !strings.Contains(warning, policySetting) {
		t.Errorf("%q, %v", warning, err)
	}
	server.SetError("LOADING Redis is loading the dataset in memory")
	if warning, err = New(open(t, "redis://"+server.Addr()+"?max_retries=-1"), Config{}).CheckPolicy(t.Context()); err == nil {
		t.Errorf("a server that is loading: %q, %v", warning, err)
	}
}
