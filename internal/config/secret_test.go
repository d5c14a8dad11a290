package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2-hunter2"
	address := "redis://user:" + text + "@host:6379/0"
	holder := struct {
		S Secret
		P *Secret
		U URL
		L []Secret
		M map[string]Secret
		A Account
	}{NewSecret(text), &Secret{text}, NewURL(address), []Secret{{text}}, map[string]Secret{"k": {text}}, Account{Password: NewSecret(text)}}
	out := []string{fmt.Sprint(holder.S, holder.P, holder.U), fmt.Sprintln(holder)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%-40v"} {
		out = append(out, fmt.Sprintf(verb, holder), fmt.Sprintf(verb, holder.S), fmt.Sprintf(verb, holder.P), fmt.Sprintf(verb, holder.U))
	}
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range append(out, string(asJSON), string(asYAML), fmt.Errorf("%w: %v", error(nil), holder).Error()) {
		if strings.Contains(printed, text) || strings.Contains(strings.ToLower(printed), fmt.Sprintf("%x", text)) {
			t.Errorf("printed: %s", printed)
		}
	}
	if holder.S.Reveal() != text || holder.U.Reveal() != address {
		t.Error("Reveal does not")
	}
	if !strings.Contains(string(asJSON), `"S":"***"`) || !strings.Contains(string(asYAML), "user:***@host:6379/0") {
		t.Errorf("%s\n%s", asJSON, asYAML)
	}
	if fmt.Sprintf("%q %v|%s", NewSecret(text), Secret{}, NewSecret(text)) != `"***" |***` {
		t.Error("the mask is not printed as a string is")
	}
	if text, err := (Secret{}).MarshalText(); err != nil || len(text) > 0 || !(Secret{}).Empty() {
		t.Error("an empty secret is masked")
	}
}

func TestURLMask(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"nats://h:4222":                   "nats://h:4222",
		"nats://user:pass@h:4222":         "nats://user:***@h:4222",
		"nats://token@h:4222":             "nats://***@h:4222",
		"nats://u:p@a:1, nats://u:q@b:2":  "nats://u:***@a:1,nats://u:***@b:2",
		"redis://:pass@h/1":               "redis://:***@h/1",
		"rediss://a%40b:pa%40ss@h/1":      "rediss://a%40b:***@h/1",
		"unix://u:p@/run/redis.sock?db=1": "unix://u:***@/run/redis.sock?db=1",
		"redis://h?db=1&password=p&x":     "redis://h?db=1&password=***&***",
		"redis://h:pa/ss@h":               "***",
		"redis://user:1/ss@h":             "***",
		"nats://u:pa,ss@h":                "nats://u:***@h",
		"redis://u:a@pass#@h":             "***",
		"redis://u:a@pass,b@h":            "redis://u:***@h",
		"nats://u:p@a:1,b:2":              "nats://u:***@a:1,b:2",
		"user:pass@h":                     "***",
		"pass":                            "***",
		"redis://u:p%zz@h":                "***",
		"redis://h#fragment":              "redis://h",
	} {
		if got := NewURL(text).String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// A secret in its place or near it, written as users write it, is in no error,
// no warning and nothing that is shown.
func checkLeaks(t *testing.T, secret string, g given) {
	t.Helper()
	cfg, warnings, err := g.load(t)
	printed := fmt.Sprint(warnings)
	if err != nil {
		printed += fmt.Sprintf("%v %+v %#v", err, err, err)
	}
	if cfg != nil {
		shown, err := json.Marshal(cfg.Masked())
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := yaml.Marshal(cfg.Masked())
		if err != nil {
			t.Fatal(err)
		}
		printed += fmt.Sprintf("%s %s %v %+v %#v %v", shown, asYAML, cfg, cfg, cfg, cfg.Masked().Rows())
	}
	if strings.Contains(printed, secret) {
		t.Errorf("a secret is shown: %q in %s", secret, printed)
	}
}

func TestUnquotedSecrets(t *testing.T) {
	const secret = "hunter2-hunter2"
	for _, text := range []string{
		secret, "*" + secret, "&" + secret, "!" + secret, "!" + secret + " x", "!!" + secret + " x", "'" + secret, `"` + secret, "{" + secret, "[" + secret, "{" + secret + ": x}",
		"[" + secret + "]", "{" + secret + ": 1, " + secret + ": 2}", "x: " + secret, "x, " + secret, "@" + secret, "`" + secret, "%" + secret,
		"| " + secret, "> " + secret, `"\q` + secret + `"`, "*x " + secret, "{<<: " + secret + "}", "? " + secret, "- " + secret, "\t" + secret, "\x00" + secret,
	} {
		checkLeaks(t, secret, given{yaml: "accounts:\n- name: a\n  username: u\n  password: " + text + "\n"})
		checkLeaks(t, secret, given{yaml: "accounts: [{name: a, username: u, password: " + text + "}]\n"})
		checkLeaks(t, secret, given{yaml: "dedupe: {digest_key: " + text + "}\n"})
		checkLeaks(t, secret, given{yaml: "redis:\n  url: redis://u:" + text + "@h\n"})
		checkLeaks(t, secret, given{env: []string{"VENDSTREAM_ACCOUNTS=[{name: a, username: u, password: " + text + "}]"}})
		checkLeaks(t, secret, given{env: []string{"VENDSTREAM_NATS_URL=nats://u:" + text + "@h", "VENDSTREAM_REDIS_URL=" + text, "VENDSTREAM_DEDUPE_DIGEST_KEY=" + text}})
		checkLeaks(t, secret, given{args: []string{"--nats-url", "nats://u:" + text + "@h:x", "--redis-url", "redis://" + text + "@h"}})
	}
	checkLeaks(t, secret, given{yaml: "accounts: [{name: a, username: u, password_env: " + secret + "}]"})
	checkLeaks(t, secret, given{yaml: "retry: {attempts: " + secret + ", base: " + secret + "}\nnats: {replicas: " + secret + "}"})
	checkLeaks(t, secret, given{yaml: "accounts: [{name: a, username: u, password: p, base_url: 'https://u:" + secret + "@h'}]"})
}

func FuzzSecret(f *testing.F) {
	for _, text := range [][2]string{
		{"", ""}, {"*", ""}, {"a: b: ", ": d"}, {"&a *b", ""}, {"'", ""}, {"!", " x"}, {"{", ": 1}"}, {`"\q`, `"`}, {"x, ", ", y"}, {"#", ""}, {"p@ss/", "%zz"},
	} {
		f.Add(text[0], text[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "hunter2-hunter2"
		if strings.ContainsAny(before+after, "\r\n\u0085\u2028\u2029") {
			return // a line feed ends the value, and what follows is another key
		}
		text := before + secret + after
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{string(quoted), text} {
			checkLeaks(t, secret, given{yaml: "accounts:\n- name: a\n  username: u\n  max_in_flight: x\n  password: " + value + "\n"})
			checkLeaks(t, secret, given{yaml: "accounts:\n- name: a\n  username: u\n  password: " + value + "\n"})
			checkLeaks(t, secret, given{yaml: "dedupe:\n  ttl: x\n  digest_key: " + value + "\n"})
		}
		checkLeaks(t, secret, given{env: []string{"VENDSTREAM_NATS_URL=nats://u:" + text + "@h", "VENDSTREAM_REDIS_URL=redis://:" + text + "@h"}})
		checkLeaks(t, secret, given{env: []string{"VENDSTREAM_REDIS_URL=" + text}})
		checkLeaks(t, secret, given{env: []string{
			"VENDSTREAM_ACCOUNT=a", "PAGAMIO_USERNAME=u", "PAGAMIO_PASSWORD=" + text, "VENDSTREAM_DEDUPE_DIGEST_KEY=" + text,
		}})
	})
}
