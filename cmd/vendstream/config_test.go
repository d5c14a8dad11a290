package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  env
		args []string
		code int
		want []string // lines of standard error begin with these
	}{
		{"sound", acme(nil), nil, 0, []string{"the configuration is valid; accounts: 1"}},
		{"no account", env{}, nil, 0, []string{"the configuration is valid, but the daemons would not start: accounts: "}},
		{"every fault", acme(nil), []string{"--retry-base", "soon", "--nats-replicas=2", "--redis-url", "http://h"}, lifecycle.Usage, []string{
			"vendstream: the configuration is not valid:",
			"  nats.replicas: must be 1, 3 or 5 (from flag --nats-replicas)",
			"  redis.url: must begin with redis://",
			"  retry.base: must be a duration",
		}},
		{"no file", acme(nil), []string{"--config", "/nosuch.yaml"}, lifecycle.Usage, []string{
			"vendstream: the configuration is not valid:",
			"  config: cannot read the file /nosuch.yaml",
		}},
		{"no password file", env{Environ: []string{"VENDSTREAM_ACCOUNTS=[{name: a, username: u, password_file: /nosuch}]"}}, nil, lifecycle.Usage, []string{
			"vendstream: the configuration is not valid:",
			"  accounts[0].password_file: cannot read /nosuch",
		}},
		{"warning", acme(nil).with("VENDSTREAM_LOG_LEVL=debug"), nil, 0, []string{
			`{"level":"warn","key":"VENDSTREAM_LOG_LEVL",`,
			"the configuration is valid",
		}},
		{"warning beside a fault", acme(nil).with("VENDSTREAM_LOG_LEVL=debug", "VENDSTREAM_RETRY_BASE=x"), nil, lifecycle.Usage, []string{
			`{"level":"warn","key":"VENDSTREAM_LOG_LEVL",`,
			"vendstream: the configuration is not valid:",
			"  retry.base: ",
		}},
	} {
		stdout, stderr, code := runCommand(t, c.env, append([]string{"config", "check"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != c.code || stdout != "" || len(lines) != len(c.want) {
			t.Errorf("%s: code %d, stdout %q, stderr %s", c.name, code, stdout, stderr)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, c.want[i]) {
				t.Errorf("%s: line %q, want %q", c.name, line, c.want[i])
			}
		}
	}
}

func TestConfigShow(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vendstream.yaml")
	if err := os.WriteFile(file, []byte("retry: {base: 2s}\ndedupe: {digest_key: hidden-key}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format string
		want   []string
	}{
		{"table", []string{"KEY  ", "retry.base  ", "  2s  ", "  file\n", "accounts[0].password  ", "***", "  env\n", "retry.attempts", "7   ", "  flag\n"}},
		{"csv", []string{"key,value,origin\n", "retry.base,2s,file\n", "retry.attempts,7,flag\n", "accounts[0].password,***,env\n", "retry.max,1m,default\n"}},
		{"jsonl", []string{`{"key":"retry.base","value":"2s","origin":"file"}` + "\n"}},
		{"yaml", []string{"retry:\n    base: 2s\n", "password: '***'"}},
		{"json", []string{`"base":"2s"`, `"password":"***"`}},
	} {
		stdout, stderr, code := runCommand(t, acme(nil).with("VENDSTREAM_CONFIG="+file), "config", "show", "--retry-attempts", "7", "-o", c.format)
		if code != 0 || stderr != "" {
			t.Errorf("%s: code %d, stderr %q", c.format, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: no %q in %s", c.format, want, stdout)
			}
		}
		if strings.Contains(stdout, "quite secret") || strings.Contains(stdout, "hidden-key") {
			t.Errorf("%s: a secret is shown: %s", c.format, stdout)
		}
		if c.format == "json" && !json.Valid([]byte(stdout)) {
			t.Errorf("not JSON: %s", stdout)
		}
	}
	if _, _, code := runCommand(t, acme(nil), "config", "show", "--retry-base=x"); code != lifecycle.Usage {
		t.Errorf("code %d", code)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := runCommand(t, env{}, "version", "-o", "json")
	var b build
	if err := json.Unmarshal([]byte(stdout), &b); err != nil || code != 0 || stderr != "" || !strings.HasPrefix(b.Go, "go1.") || b.Version == "" {
		t.Errorf("code %d, stdout %q, stderr %q: %v", code, stdout, stderr, err)
	}
	if stdout, _, code := runCommand(t, env{}, "version"); code != 0 || !strings.HasPrefix(stdout, "VERSION ") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}
