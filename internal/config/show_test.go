package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const shownYAML = `nats:
    url: nats://u:***@h:4222
    credentials_file: ""
    replicas: 1
redis:
    url: redis://127.0.0.1:6379/0
http:
    addr: 127.0.0.1:8080
log:
    level: info
    format: json
subjects:
    prefix: purchases
dedupe:
    lease: 1m
    ttl: 168h
    digest_key: '***'
retention:
    requests: 720h
    results: 2160h
retry:
    base: 1s
    max: 1m
    jitter: 0.25
    attempts: 5
poller:
    schedule:
        - until: 1m
          every: 5s
        - until: 5m
          every: 30s
        - every: 5m
    escalate_after: 5m
    due_index: false
vendor:
    timeout: 1m30s
catalog:
    refresh: 15m
audit:
    every: 5m
accounts:
    - name: acme
      base_url: https://vas-sandbox-api.pagamio.tech/api/v1
      username: "007"
      password: '***'
      password_env: ""
      password_file: /run/secrets/acme
      user_type: MERCHANT
      user_type_id: ""
      merchant_id: ""
      channel_id: ""
      purchase_limit:
        requests: 0
        per: 1m
      max_in_flight: 64
      on_insufficient_balance: fail
      lookup:
        electricity: false
        bill-payment: false
        money-transfer: false
`

func TestMasked(t *testing.T) {
	cfg, _, err := given{
		yaml:  "accounts: [{name: acme, username: 007, password_file: /run/secrets/acme, purchase_limit: {requests: 0}}]\ndedupe: {digest_key: k}",
		env:   []string{"VENDSTREAM_NATS_URL=nats://u:p@h:4222"},
		args:  []string{"--vendor-timeout=90s"},
		files: map[string]string{"/run/secrets/acme": "p"},
	}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	m := cfg.Masked()
	text, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != shownYAML {
		t.Errorf("got\n%s", text)
	}
	asJSON, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(text, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(asJSON, &fromJSON); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	if fmt.Sprint(fromYAML) != fmt.Sprint(fromJSON) || !strings.HasPrefix(string(asJSON), `{"nats":{"url":"nats://u:***@h:4222","credentials_file":"","replicas":1},"redis"`) {
		t.Errorf("got %s", asJSON)
	}
	rows := map[string]Row{}
	for _, row := range m.Rows() {
		rows[row.Key] = row
	}
	for _, want := range []Row{
		{"nats.url", "nats://u:***@h:4222", OriginEnv},
		{"vendor.timeout", "1m30s", OriginFlag},
		{"dedupe.digest_key", "***", OriginFile},
		{"poller.schedule[2].every", "5m", OriginDefault},
		{"accounts[0].purchase_limit.requests", "0", OriginFile},
		{"retry.jitter", "0.25", OriginDefault},
	} {
		if rows[want.Key] != want {
			t.Errorf("got %v, want %v", rows[want.Key], want)
		}
	}
	if _, there := rows["poller.schedule[2].until"]; there || len(m.Rows()) != len(fields)+5+len(accountFields) {
		t.Errorf("%d rows: %v", len(m.Rows()), m.Rows())
	}
}

func TestMaskedWithoutAccounts(t *testing.T) {
	m := given{}.mustLoad(t).Masked()
	asJSON, err := json.Marshal(m)
	if err != nil || !strings.HasSuffix(string(asJSON), `"accounts":[]}`) {
		t.Errorf("%s %v", asJSON, err)
	}
	asYAML, err := yaml.Marshal(m)
	if err != nil || !strings.HasSuffix(string(asYAML), "accounts: []\n") {
		t.Errorf("%s %v", asYAML, err)
	}
}

// What is shown without secrets can be loaded again and gives the same.
func TestMaskedLoads(t *testing.T) {
	first, err := yaml.Marshal(given{}.mustLoad(t).Masked())
	if err != nil {
		t.Fatal(err)
	}
	second, err := yaml.Marshal(given{yaml: string(first)}.mustLoad(t).Masked())
	if err != nil || string(first) != string(second) {
		t.Errorf("%v\n%s\n%s", err, first, second)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(fullYAML)
	f.Add(shownYAML)
	f.Add(account(", purchase_limit: {requests: 1}"))
	f.Add("retry: &r {<<: *r, base: 1s}\npoller: {schedule: [{every: 1s}]}")
	f.Add("a: &a [*a]\n? {b: c}\n: d")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, _, err := given{yaml: text + "\n"}.load(t)
		if err != nil {
			problems(t, err) // each is a KeyError
			return
		}
		if _, err := yaml.Marshal(cfg.Masked()); err != nil {
			t.Error(err)
		}
		if asJSON, err := json.Marshal(cfg.Masked()); err != nil || !json.Valid(asJSON) {
			t.Errorf("%s %v", asJSON, err)
		}
	})
}
