package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestFaults(t *testing.T) {
	second := func(more string) string {
		return "accounts: [{name: acme, username: u, password: p}, {name: b, username: u, password: p" + more + "}]"
	}
	for _, c := range []struct {
		yaml string
		want string // part of the only error
	}{
		// Shape.
		{"natz: {url: x}", "natz: unknown key (did you mean nats?) (from file /etc/vendstream.yaml, line 1)"},
		{"\nnats:\n  ulr: x", "nats.ulr: unknown key (did you mean url?) (from file /etc/vendstream.yaml, line 3)"},
		{"sub: {prefix: a}", "sub: unknown key (did you mean subjects?)"},
		{"entirely_else: 1", "entirely_else: unknown key (from"},
		{"nats.url: nats://h", "nats.url: unknown key"},
		{"foo: 1", "foo: unknown key (from file /etc/vendstream.yaml, line 1)"},
		{"\"\": 1", ": unknown key (from file /etc/vendstream.yaml, line 1)"},
		{"NATS: {url: x}", "NATS: unknown key (did you mean nats?)"},
		{account(", max_in_flght: 3"), "accounts[0].max_in_flght: unknown key (did you mean max_in_flight?)"},
		{account(", purchase_limit: {request: 3}"), "accounts[0].purchase_limit.request: unknown key (did you mean requests?)"},
		{"poller: {schedule: [{evry: 1s, every: 1s}]}", "poller.schedule[0].evry: unknown key (did you mean every?)"},
		{"retry:\n  base: 1s\n  max: 2s\n  base: 3s", "retry.base: is given twice, first in line 2: remove one (from file /etc/vendstream.yaml, line 4)"},
		{"retry: {base: 1s}\nretry: {max: 2s}", "retry: is given twice"},
		{"- 1", "config: must hold keys: nats, redis"},
		{"text", "config: must hold keys: nats, redis"},
		{"retry: 5", "retry: must hold keys: base, max, jitter, attempts"},
		{"retry: [1]", "retry: must hold keys"},
		{"retry: {base: {a: b}}", "retry.base: must be one value"},
		{"retry: {base: [1s]}", "retry.base: must be one value"},
		{"accounts: {name: a}", "accounts: must be a list"},
		{"accounts: [~]", "accounts[0]: must not be empty"},
		{"accounts: [acme]", "accounts[0]: must hold keys: name, base_url"},
		{account(", purchase_limit: 5"), "accounts[0].purchase_limit: must hold keys: requests, per"},
		{account(", purchase_limit: {per: [1]}"), "accounts[0].purchase_limit.per: must be one value"},
		{"a: b: c", "config: not valid YAML: mapping values are not allowed"},
		{"retry: {base: 1s", "config: not valid YAML: "},
		{"retry: {base: 1s}\n---\nretry: {base: 1s}", "config: must be one YAML document"},
		{"retry: {base: !!str 1s}", "retry.base: must not have a YAML tag"},
		{"retry: &r {<<: *r}", "merges too deep"},
		{"retry: {<<: 5}", "retry.<<: must be a mapping"},
		{"retry: {? [a] : b}", "retry: holds an unknown key"},

		// Values.
		{"nats: {url: '127.0.0.1:4222'}", "nats.url: must be addresses"},
		{"nats: {url: 'http://h:1'}", "nats.url: must begin with nats://"},
		{"nats: {url: 'nats://h:1,'}", "nats.url: must be addresses"},
		{"nats: {url: 'nats://'}", "nats.url: must be addresses"},
		{"nats: {url: ''}", "nats.url: must be addresses"},
		{"nats: {url: 'nats://h:1,ws://h:2'}", "nats.url: must not mix"},
		{"nats: {credentials_file: /none}", "nats.credentials_file: cannot read /none: file does not exist"},
		{"nats: {replicas: 2}", "nats.replicas: must be 1, 3 or 5"},
		{"nats: {replicas: 99999999999999999999}", "nats.replicas: must be a whole number"},
		{"redis: {url: 'http://h'}", "redis.url: must begin with redis://"},
		{"redis: {url: 'redis:///0'}", "redis.url: must name a host"},
		{"redis: {url: 'redis://h/x'}", "redis.url: must end with the number of the database"},
		{"redis: {url: 'unix:///run/r'}", "redis.url: must begin with redis://"},
		{"redis: {url: 'redis://h:x'}", "redis.url: must be an address"},
		{"http: {addr: localhost}", "http.addr: must be host:port"},
		{"http: {addr: 'localhost:http'}", "http.addr: must have a port"},
		{"http: {addr: ':70000'}", "http.addr: must have a port"},
		{"log: {level: loud}", "log.level: must be one of trace, debug, info, warn, error"},
		{"log: {format: xml}", "log.format: must be one of json, console"},
		{"subjects: {prefix: ''}", "subjects.prefix: must be"},
		{"subjects: {prefix: 'a.'}", "subjects.prefix: must be"},
		{"subjects: {prefix: 'a..b'}", "subjects.prefix: must be"},
		{"subjects: {prefix: 'a.*'}", "subjects.prefix: must be"},
		{"subjects: {prefix: 'a b'}", "subjects.prefix: must be"},
		{"subjects: {prefix: " + strings.Repeat("a", 65) + "}", "subjects.prefix: must be"},
		{"dedupe: {lease: 0}", "dedupe.lease: must be above zero"},
		{"dedupe: {ttl: -1h}", "dedupe.ttl: must be above zero"},
		{"dedupe: {ttl: 7d}", "dedupe.ttl: must be a duration with its unit"},
		{"retention: {requests: 0s}", "retention.requests: must be above zero"},
		{"retention: {results: 90}", "retention.results: must be a duration with its unit"},
		{"retry: {base: ''}", "retry.base: must not be empty"},
		{"retry: {base: 2m}", "retry.base: must not be above retry.max, which is 1m"},
		{"retry: {max: 0s}", "retry.max: must be above zero"},
		{"retry: {jitter: 1.5}", "retry.jitter: must be between 0 and 1"},
		{"retry: {jitter: -0.1}", "retry.jitter: must be between 0 and 1"},
		{"retry: {jitter: NaN}", "retry.jitter: must be between 0 and 1"},
		{"retry: {jitter: some}", "retry.jitter: must be a number"},
		{"retry: {attempts: 0}", "retry.attempts: must be at least 1"},
		{"retry: {attempts: many}", "retry.attempts: must be a whole number"},
		{"retry: {attempts: 1.5}", "retry.attempts: must be a whole number"},
		{"vendor: {timeout: 0s}", "vendor.timeout: must be above zero"},
		{"audit: {every: -1s}", "audit.every: must not be below zero"},
		{"catalog: {refresh: 0s}", "catalog.refresh: must be above zero"},
		{"catalog: {refresh: 15}", "catalog.refresh: must be a duration with its unit"},
		{"poller: {escalate_after: -1s}", "poller.escalate_after: must not be below zero"},
		{"poller: {schedule: []}", "poller.schedule: needs at least one step"},
		{"poller: {schedule: [{until: 1m, every: 1s}]}", "poller.schedule[0].until: must not be set in the last step"},
		{"poller: {schedule: [{every: 1s}, {every: 2s}]}", "poller.schedule[0].until: is missing"},
		{"poller: {schedule: [{until: 2m, every: 1s}, {until: 2m, every: 1s}, {every: 2s}]}", "poller.schedule[1].until: must be later"},
		{"poller: {schedule: [{until: 0s, every: 1s}, {every: 2s}]}", "poller.schedule[0].until: must be above zero"},
		{"poller: {schedule: [{until: 1m}, {every: 2s}]}", "poller.schedule[0].every: is missing"},
		{"poller: {schedule: [{every: 0s}]}", "poller.schedule[0].every: must be above zero"},
		{"poller: {schedule: [{every: x}]}", "poller.schedule[0].every: must be a duration"},
		{"poller: {schedule: [{until: [1], every: 1s}, {every: 1s}]}", "poller.schedule[0].until: must be one value"},

		// Accounts.
		{"accounts: [{username: u, password: p}]", "accounts[0].name: must be 1 to 32"},
		{"accounts: [{name: Acme, username: u, password: p}]", "accounts[0].name: must be 1 to 32"},
		{"accounts: [{name: acme, password: p}]", "accounts[0].username: is missing: give it here, or the variable PAGAMIO_USERNAME"},
		{"accounts: [{name: acme, username: u}]", "accounts[0].password: is missing: give one of password, password_env and password_file"},
		{"accounts: [{name: acme, username: u, password: ''}]", "accounts[0].password: is missing"},
		{account(", password_env: X"), "accounts[0].password_env: is given beside password"},
		{account(", password_file: X"), "accounts[0].password_file: is given beside password"},
		{"accounts: [{name: acme, username: u, password_env: ACME_PASSWORD}]", "accounts[0].password_env: names the variable ACME_PASSWORD, which is not set"},
		{"accounts: [{name: acme, username: u, password_file: /none}]", "accounts[0].password_file: cannot read /none: file does not exist"},
		{"accounts: [{name: acme, username: u, password_file: /empty}]", "accounts[0].password_file: names /empty, which is empty"},
		{"accounts: [{name: acme, username: u, password: [1]}]", "accounts[0].password: must be one value"},
		{"accounts: [{name: acme, username: u, password: p}, {name: acme, username: u, password: p}]", "accounts[1].name: is the name of accounts[0] too"},
		{second(", base_url: 'ftp://h'"), "accounts[1].base_url: must be an address such as https://"},
		{second(", base_url: 'https://u:p@h'"), "accounts[1].base_url: must not hold a user"},
		{second(", base_url: 'https://h?a=b'"), "accounts[1].base_url: must not hold a query"},
		{second(", user_type: OWNER"), "accounts[1].user_type: must be one of MERCHANT, SUB_MERCHANT"},
		{second(", purchase_limit: {requests: -1}"), "accounts[1].purchase_limit.requests: must not be below zero"},
		{second(", purchase_limit: {per: 0s}"), "accounts[1].purchase_limit.per: must be above zero"},
		{second(", max_in_flight: 0"), "accounts[1].max_in_flight: must be at least 1"},
		{second(", lookup: {electricity: yes}"), "accounts[1].lookup.electricity: must be true or false"},
		{second(", lookup: {bills: true}"), "accounts[1].lookup.bills: unknown key"},
	} {
		cfg, _, err := given{yaml: c.yaml, files: map[string]string{"/empty": "\n"}}.load(t)
		if cfg != nil {
			t.Errorf("%s: a configuration beside the error", c.yaml)
		}
		got := problems(t, err)
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s\ngot %d: %s\nwant %s", c.yaml, len(got), strings.Join(got, "\n"), c.want)
		}
	}
}

func TestSound(t *testing.T) {
	for _, yaml := range []string{
		" ", "# nothing", "---", "{}", "retry:", "retry: {base: ~, max: null}", "accounts: []", "accounts:", "nats: {credentials_file: }",
		"nats: {url: 'nats://u:p@a:1, tls://b'}", "nats: {url: 'wss://h:443/path'}", "redis: {url: 'redis://h'}", "redis: {url: 'redis+sentinel://h:26379/0?master_name=m'}",
		"http: {addr: ''}", "http: {addr: ':0'}", "http: {addr: '[::1]:80'}", "subjects: {prefix: A-b_9.c}", "retry: {jitter: 0}", "retry: {jitter: .5}",
		"poller: {schedule: [{every: 1s}]}", `{"retry": {"attempts": 3}}`, "retry: {attempts: \"3\"}", "nats: &n {url: 'nats://h'}",
	} {
		if cfg, _, err := (given{yaml: yaml}).load(t); err != nil {
			t.Errorf("%s: %v", yaml, err)
		} else if len(cfg.Poller.Schedule) == 0 || cfg.Retry.Base == 0 {
			t.Errorf("%s: the defaults are lost: %+v", yaml, cfg)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, warnings, err := given{
		yaml: "nats: {url: x, replicas: 2}\nlogg: {level: info}\nretry: {attempts: many}",
		env:  []string{"VENDSTREAM_VENDOR_TIMEOUT=soon", "VENDSTREAM_NATS_URI=x"},
		args: []string{"--dedupe-ttl=0s"},
	}.load(t)
	want := []string{
		"logg: unknown key (did you mean log?) (from file /etc/vendstream.yaml, line 2)",
		"nats.url: must be addresses such as nats://host:4222, separated by commas (from file /etc/vendstream.yaml, line 1)",
		"nats.replicas: must be 1, 3 or 5 (from file /etc/vendstream.yaml, line 1)",
		"dedupe.ttl: must be above zero (from flag --dedupe-ttl)",
		"retry.attempts: must be a whole number, such as 5 (from file /etc/vendstream.yaml, line 3)",
		"vendor.timeout: must be a duration with its unit, such as 500ms, 30s, 5m or 168h (from variable VENDSTREAM_VENDOR_TIMEOUT)",
	}
	if got := problems(t, err); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if len(warnings) != 1 || warnings[0].Key != "VENDSTREAM_NATS_URI" {
		t.Errorf("warnings %v", warnings)
	}
}

func TestMerges(t *testing.T) {
	cfg := given{yaml: `
accounts:
  - &base {name: a, username: u, password: p, max_in_flight: 3, purchase_limit: {requests: 5}}
  - {<<: *base, name: b}
  - {<<: [{channel_id: c9, max_in_flight: 9}, *base], name: c}
  - &d {<<: *base, name: d, password: q}
`}.mustLoad(t)
	var got []string
	for _, a := range cfg.Accounts {
		got = append(got, fmt.Sprint(a.Name, a.Username, a.Password.Reveal(), a.MaxInFlight, a.PurchaseLimit.Requests, a.ChannelID))
	}
	if want := "aup3 5 bup3 5 cup9 5c9 duq3 5"; strings.Join(strings.Fields(strings.Join(got, " ")), " ") != want {
		t.Errorf("got %q", got)
	}
	// Each line multiplies the last by ten.
	bomb := "accounts:\n- &a0 {name: x}\n"
	for i := range 9 {
		bomb += fmt.Sprintf("- &a%d {<<: [%s]}\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	if _, _, err := (given{yaml: bomb}).load(t); err == nil {
		t.Error("a bomb of merges is taken")
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		given given
		want  string
	}{
		{given{yaml: "dedupe: {lease: 30s}"}, "dedupe.lease: 30s is not above vendor.timeout, 30s"},
		{given{yaml: "vendor: {timeout: 90s}"}, "dedupe.lease: 1m is not above vendor.timeout, 1m30s"},
		{given{yaml: "dedupe: {ttl: 59m}"}, "dedupe.ttl: 59m is short"},
		{given{yaml: "catalog: {refresh: 59s}"}, "catalog.refresh: 59s is short"},
		{given{yaml: "retention: {results: 1h}"}, "retention.results: 1h is below retention.requests, 720h"},
		{given{env: []string{"VENDSTREAM_PORT=tcp://10.0.0.1:80"}}, "VENDSTREAM_PORT: no key has this variable"},
		{given{env: []string{"VENDSTREAM_RETRY_ATTEMPT=3"}}, "(did you mean VENDSTREAM_RETRY_ATTEMPTS?)"},
		{given{env: []string{"PAGAMIO_PASSWORD=p"}, yaml: account("")}, "PAGAMIO_PASSWORD: ignored, since VENDSTREAM_ACCOUNT"},
		{given{env: []string{"PAGAMIO_BASE_URL=http://h"}}, "PAGAMIO_BASE_URL: ignored, since VENDSTREAM_ACCOUNT"},
	} {
		_, warnings, err := c.given.load(t)
		if err != nil {
			t.Error(err)
		}
		text := []string{}
		for _, w := range warnings {
			text = append(text, w.String())
		}
		wantOne(t, text, c.want)
	}
}

func TestAccountOfVariables(t *testing.T) {
	env := []string{"VENDSTREAM_ACCOUNT=acme", "PAGAMIO_USERNAME=vu", "PAGAMIO_PASSWORD=vp"}
	t.Run("alone", func(t *testing.T) {
		cfg := given{env: env}.mustLoad(t)
		if len(cfg.Accounts) != 1 || cfg.Origins["accounts"] != OriginEnv {
			t.Fatalf("%v", cfg.Accounts)
		}
		a := cfg.Accounts[0]
		if a.Name != "acme" || a.BaseURL != sandboxURL || a.Username != "vu" || a.Password.Reveal() != "vp" || a.MaxInFlight != 64 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("over the file's", func(t *testing.T) {
		cfg := given{
			env:  append(env, "PAGAMIO_BASE_URL=http://vendor:1/"),
			yaml: "accounts: [{name: b, username: u, password: p}, {name: acme, username: u, password_file: /none, channel_id: c}]",
		}.mustLoad(t)
		a := cfg.Accounts[1]
		if len(cfg.Accounts) != 2 || a.BaseURL != "http://vendor:1" || a.Username != "vu" || a.Password.Reveal() != "vp" || a.PasswordFile != "" || a.ChannelID != "c" {
			t.Errorf("%+v", cfg.Accounts)
		}
	})
	t.Run("beside the file's", func(t *testing.T) {
		cfg := given{env: env, yaml: "accounts: [{name: b, username: u, password: p}]"}.mustLoad(t)
		if len(cfg.Accounts) != 2 || cfg.Accounts[0].Username != "u" || cfg.Accounts[1].Name != "acme" {
			t.Errorf("%+v", cfg.Accounts)
		}
	})
	t.Run("the rest from the file", func(t *testing.T) {
		cfg := given{env: env[:1], yaml: account("")}.mustLoad(t)
		if len(cfg.Accounts) != 1 || cfg.Accounts[0].Username != "u" {
			t.Errorf("%+v", cfg.Accounts)
		}
	})
	t.Run("incomplete", func(t *testing.T) {
		_, _, err := given{env: env[:2]}.load(t)
		wantOne(t, problems(t, err), "accounts[0].password: is missing: give one of password, password_env and password_file, or the variable PAGAMIO_PASSWORD")
	})
	t.Run("a wrong name", func(t *testing.T) {
		_, _, err := given{env: append([]string{"VENDSTREAM_ACCOUNT=A B"}, env[1:]...)}.load(t)
		wantOne(t, problems(t, err), "accounts[0].name: must be 1 to 32 of a-z, 0-9, _ and -, the first a letter or digit (from variable VENDSTREAM_ACCOUNT)")
	})
	t.Run("as password_env", func(t *testing.T) {
		cfg := given{env: env[2:], yaml: "accounts: [{name: b, username: u, password_env: PAGAMIO_PASSWORD}]"}.mustLoad(t)
		if cfg.Accounts[0].Password.Reveal() != "vp" {
			t.Errorf("%+v", cfg.Accounts)
		}
	})
}

func TestWithoutPasswords(t *testing.T) {
	cfg := given{
		yaml:    "accounts: [{name: a, username: u, password_file: /none}, {name: b, username: u, password_env: NONE_SET}]",
		options: func(o *Options) { o.WithoutPasswords = true },
	}.mustLoad(t)
	if len(cfg.Accounts) != 2 || !cfg.Accounts[0].Password.Empty() {
		t.Errorf("%+v", cfg.Accounts)
	}
}

func TestKeyErrorUnwraps(t *testing.T) {
	err := &KeyError{Key: "k", Problem: "p", Err: fs.ErrPermission}
	if !errors.Is(err, fs.ErrPermission) || err.Error() != "k: p" {
		t.Error(err)
	}
}
