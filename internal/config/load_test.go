package config

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// The file of the contract, with values that are not the defaults.
const fullYAML = `
nats:     {url: "tls://a:4222,tls://b:4222", credentials_file: "/etc/nats.creds", replicas: 3}
redis:    {url: "rediss://redis:6380/2"}
http:     {addr: ":9090"}
log:      {level: debug, format: console}
subjects: {prefix: shop.purchases}
dedupe:   {lease: 90s, ttl: 24h, digest_key: "k1"}
retention: {requests: 24h, results: 48h}
retry:    {base: 2s, max: 2m, jitter: 0.5, attempts: 3}
poller:   {schedule: [{until: 2m, every: 1s}, {every: 1m}], escalate_after: 0, due_index: true}
vendor:   {timeout: 10s}
catalog:  {refresh: 1h}
audit:    {every: 1m}
accounts:
  - name: acme
    base_url: "https://vas.example/api/v1/"
    username: "00123"
    password: 0123
    user_type: SUB_MERCHANT
    user_type_id: 7
    merchant_id: m1
    channel_id: c1
    purchase_limit: {requests: 0, per: 10s}
    max_in_flight: 8
    on_insufficient_balance: hold
  - name: other
    username: o
    password_env: OTHER_PASSWORD
    purchase_limit: {requests: 20}
  - name: third
    username: t
    password_file: /run/secrets/third
`

func TestDefaults(t *testing.T) {
	cfg := given{}.mustLoad(t)
	origins := cfg.Origins
	cfg.Origins = nil
	want := &Config{
		NATS:      NATS{URL: NewURL("nats://127.0.0.1:4222"), Replicas: 1},
		Redis:     Redis{URL: NewURL("redis://127.0.0.1:6379/0")},
		HTTP:      HTTP{Addr: "127.0.0.1:8080"},
		Log:       Log{Level: "info", Format: "json"},
		Subjects:  Subjects{Prefix: "purchases"},
		Dedupe:    Dedupe{Lease: time.Minute, TTL: 168 * time.Hour},
		Retention: Retention{Requests: 720 * time.Hour, Results: 2160 * time.Hour},
		Retry:     Retry{Base: time.Second, Max: time.Minute, Jitter: 0.25, Attempts: 5},
		Poller: Poller{
			Schedule:      []Step{{time.Minute, 5 * time.Second}, {5 * time.Minute, 30 * time.Second}, {0, 5 * time.Minute}},
			EscalateAfter: 5 * time.Minute,
		},
		Vendor:  Vendor{Timeout: 30 * time.Second},
		Catalog: Catalog{Refresh: 15 * time.Minute},
		Audit:   Audit{Every: 5 * time.Minute},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	if len(origins) != len(fields)+2 {
		t.Errorf("%d origins, want one for each key", len(origins))
	}
	for key, origin := range origins {
		if origin != OriginDefault {
			t.Errorf("%s comes from %s", key, origin)
		}
	}
	err := cfg.RequireAccounts()
	var key *KeyError
	if !errors.As(err, &key) || key.Key != "accounts" {
		t.Errorf("RequireAccounts: %v", err)
	}
}

func TestFile(t *testing.T) {
	cfg := given{
		yaml:  fullYAML,
		env:   []string{"OTHER_PASSWORD=p2"},
		files: map[string]string{"/etc/nats.creds": "x", "/run/secrets/third": "p3 \r\n"},
	}.mustLoad(t)
	for key, origin := range cfg.Origins {
		if origin != OriginFile && !strings.HasPrefix(key, "accounts[") {
			t.Errorf("%s comes from %s", key, origin)
		}
	}
	for key, want := range map[string]string{
		"accounts[0].name": OriginFile, "accounts[0].lookup.electricity": OriginDefault,
		"accounts[2].password_file": OriginFile, "accounts[2].max_in_flight": OriginDefault,
	} {
		if got := cfg.Origins[key]; got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
	cfg.Origins = nil
	want := &Config{
		NATS:      NATS{URL: NewURL("tls://a:4222,tls://b:4222"), CredentialsFile: "/etc/nats.creds", Replicas: 3},
		Redis:     Redis{URL: NewURL("rediss://redis:6380/2")},
		HTTP:      HTTP{Addr: ":9090"},
		Log:       Log{Level: "debug", Format: "console"},
		Subjects:  Subjects{Prefix: "shop.purchases"},
		Dedupe:    Dedupe{Lease: 90 * time.Second, TTL: 24 * time.Hour, DigestKey: NewSecret("k1")},
		Retention: Retention{Requests: 24 * time.Hour, Results: 48 * time.Hour},
		Retry:     Retry{Base: 2 * time.Second, Max: 2 * time.Minute, Jitter: 0.5, Attempts: 3},
		Poller:    Poller{Schedule: []Step{{2 * time.Minute, time.Second}, {0, time.Minute}}, DueIndex: true},
		Vendor:    Vendor{Timeout: 10 * time.Second},
		Catalog:   Catalog{Refresh: time.Hour},
		Audit:     Audit{Every: time.Minute},
		Accounts: []Account{
			{
				Name: "acme", BaseURL: "https://vas.example/api/v1", Username: "00123", Password: NewSecret("0123"),
				UserType: "SUB_MERCHANT", UserTypeID: "7", MerchantID: "m1", ChannelID: "c1",
				PurchaseLimit: PurchaseLimit{0, 10 * time.Second}, MaxInFlight: 8, OnInsufficientBalance: HoldBalance,
			},
			{
				Name: "other", BaseURL: sandboxURL, Username: "o", Password: NewSecret("p2"), PasswordEnv: "OTHER_PASSWORD",
				UserType: "MERCHANT", PurchaseLimit: PurchaseLimit{20, time.Minute}, MaxInFlight: 64, OnInsufficientBalance: FailBalance,
			},
			{
				Name: "third", BaseURL: sandboxURL, Username: "t", Password: NewSecret("p3 "), PasswordFile: "/run/secrets/third",
				UserType: "MERCHANT", PurchaseLimit: PurchaseLimit{10, time.Minute}, MaxInFlight: 64, OnInsufficientBalance: FailBalance,
			},
		},
	}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	if err := cfg.RequireAccounts(); err != nil {
		t.Error(err)
	}
	if got := cfg.Subjects.StreamPrefix(); got != "SHOP_PURCHASES" {
		t.Errorf("stream prefix %s", got)
	}
}

func TestPrecedence(t *testing.T) {
	const yaml = "retry: {attempts: 2, base: 2s}\nvendor: {timeout: 2s}"
	env := []string{"VENDSTREAM_RETRY_ATTEMPTS=3", "VENDSTREAM_RETRY_BASE=3s", "VENDSTREAM_NATS_URL="}
	cfg := given{yaml: yaml, env: env, args: []string{"--retry-attempts=4", "--http-addr="}}.mustLoad(t)
	if cfg.Retry.Attempts != 4 || cfg.Retry.Base != 3*time.Second || cfg.Vendor.Timeout != 2*time.Second {
		t.Errorf("%+v %+v", cfg.Retry, cfg.Vendor)
	}
	if cfg.HTTP.Addr != "" {
		t.Error("an empty flag does not count")
	}
	if cfg.NATS.URL.Reveal() != "nats://127.0.0.1:4222" {
		t.Error("an empty variable counts")
	}
	for key, want := range map[string]string{
		"retry.attempts": OriginFlag, "http.addr": OriginFlag, "retry.base": OriginEnv,
		"vendor.timeout": OriginFile, "nats.url": OriginDefault, "retry.max": OriginDefault,
	} {
		if cfg.Origins[key] != want {
			t.Errorf("%s comes from %s, want %s", key, cfg.Origins[key], want)
		}
	}
}

func TestWhichFile(t *testing.T) {
	files := map[string]string{"a.yaml": "retry: {attempts: 7}", "b.yaml": "retry: {attempts: 8}"}
	for _, c := range []struct {
		env, args []string
		want      int
	}{
		{nil, nil, 5},
		{[]string{"VENDSTREAM_CONFIG=a.yaml"}, nil, 7},
		{[]string{"VENDSTREAM_CONFIG=a.yaml"}, []string{"--config", "b.yaml"}, 8},
		{[]string{"VENDSTREAM_CONFIG=a.yaml"}, []string{"--config="}, 5},
	} {
		if got := (given{files: files, env: c.env, args: c.args}).mustLoad(t).Retry.Attempts; got != c.want {
			t.Errorf("%v %v: got %d, want %d", c.env, c.args, got, c.want)
		}
	}
	_, _, err := given{args: []string{"--config", "/nowhere/c.yaml"}}.load(t)
	wantOne(t, problems(t, err), "config: cannot read the file /nowhere/c.yaml: file does not exist")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
}

func TestLoadWithoutFlags(t *testing.T) {
	cfg, warnings, err := Load(Options{})
	if err != nil || len(warnings) > 0 || cfg.Retry.Attempts != 5 {
		t.Errorf("%v %v %v", cfg, warnings, err)
	}
	_, _, err = Load(Options{Environ: []string{"VENDSTREAM_CONFIG=" + t.TempDir() + "/none.yaml"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("os.ReadFile is not the default: %v", err)
	}
}

func TestEveryKeyHasItsVariableAndFlag(t *testing.T) {
	values := map[string]string{
		"nats.url": "ws://n:1", "nats.credentials_file": "c", "nats.replicas": "5", "redis.url": "redis://r:1/2", "http.addr": "h:1",
		"log.level": "warn", "log.format": "console", "subjects.prefix": "x", "dedupe.lease": "61s", "dedupe.ttl": "2h",
		"dedupe.digest_key": "dk", "retention.requests": "1h", "retention.results": "9000h", "retry.base": "3s", "retry.max": "4s",
		"retry.jitter": "1", "retry.attempts": "9", "poller.escalate_after": "1s", "poller.due_index": "true", "vendor.timeout": "7s",
		"catalog.refresh": "2m", "audit.every": "2m",
	}
	files := map[string]string{"c": ""}
	for _, f := range fields {
		value := values[f.key]
		name := "VENDSTREAM_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
		cfg := given{env: []string{name + "=" + value}, files: files}.mustLoad(t)
		defaults := given{}.mustLoad(t)
		if f.key != "dedupe.digest_key" && shown(f.at(cfg)) == shown(f.at(defaults)) {
			t.Errorf("%s does not set %s", name, f.key)
		}
		if cfg.Origins[f.key] != OriginEnv {
			t.Errorf("%s comes from %s", f.key, cfg.Origins[f.key])
		}
		if f.key == "dedupe.digest_key" {
			if cfg.Dedupe.DigestKey.Reveal() != "dk" {
				t.Error("the digest key is not read")
			}
			continue
		}
		flag := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(f.key)
		if got := (given{args: []string{flag, value}, files: files}).mustLoad(t); shown(f.at(got)) != shown(f.at(cfg)) {
			t.Errorf("%s gives %v", flag, shown(f.at(got)))
		}
	}
}

func TestFlags(t *testing.T) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(flags)
	if flags.Lookup("dedupe-digest-key") != nil {
		t.Error("a secret has a flag")
	}
	usage := flags.FlagUsages()
	for _, want := range []string{"--config string", "--nats-url string", "(default \"nats://127.0.0.1:4222\")", "--retry-base duration", "--retry-jitter number", "--nats-replicas int"} {
		if !strings.Contains(usage, want) {
			t.Errorf("no %q in\n%s", want, usage)
		}
	}
	if err := flags.Parse([]string{"--nats-ulr", "x"}); err == nil {
		t.Error("an unknown flag is taken")
	}
}

func TestListsFromVariables(t *testing.T) {
	cfg := given{
		yaml: account(""),
		env: []string{
			"VENDSTREAM_POLLER_SCHEDULE=[{until: 10s, every: 1s}, {every: 10s}]",
			"VENDSTREAM_ACCOUNTS=[{name: one, username: u, password: p}, {name: two, username: u, password: q}]",
		},
	}.mustLoad(t)
	if !reflect.DeepEqual(cfg.Poller.Schedule, []Step{{10 * time.Second, time.Second}, {0, 10 * time.Second}}) {
		t.Errorf("%v", cfg.Poller.Schedule)
	}
	if len(cfg.Accounts) != 2 || cfg.Accounts[1].Password.Reveal() != "q" || cfg.Origins["accounts"] != OriginEnv {
		t.Errorf("%v", cfg.Accounts)
	}
	_, _, err := given{env: []string{"VENDSTREAM_ACCOUNTS=[{"}}.load(t)
	wantOne(t, problems(t, err), "accounts: not valid YAML")
	_, _, err = given{env: []string{"VENDSTREAM_POLLER_SCHEDULE=5m"}}.load(t)
	wantOne(t, problems(t, err), "poller.schedule: must be a list (from variable VENDSTREAM_POLLER_SCHEDULE)")
}

// An account of the file keeps its origin beside one of variables.
func TestOriginsOfAccounts(t *testing.T) {
	cfg := given{
		yaml: "accounts: [{name: acme, username: u, password: p}]",
		env:  []string{"VENDSTREAM_ACCOUNT=other", "PAGAMIO_USERNAME=v", "PAGAMIO_PASSWORD=q"},
	}.mustLoad(t)
	for key, want := range map[string]string{
		"accounts[0].username": OriginFile, "accounts[0].max_in_flight": OriginDefault,
		"accounts[1].username": OriginEnv, "accounts[1].max_in_flight": OriginDefault,
	} {
		if got := cfg.Origins[key]; got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
}
