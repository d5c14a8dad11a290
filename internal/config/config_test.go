package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// given is what one Load is given in a test.
type given struct {
	yaml    string // the file /etc/vendstream.yaml, named by VENDSTREAM_CONFIG, unless ""
	env     []string
	args    []string
	files   map[string]string
	options func(*Options)
}

const testFile = "/etc/vendstream.yaml"

func (g given) load(t testing.TB) (*Config, []Warning, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(flags)
	flags.String("output", "table", "a flag of the command's own")
	if err := flags.Parse(g.args); err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Flags:   flags,
		Environ: g.env,
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := g.files[name]; ok {
				return []byte(text), nil
			}
			if name == testFile && g.yaml != "" {
				return []byte(g.yaml), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	}
	if g.yaml != "" {
		opts.Environ = append([]string{"VENDSTREAM_CONFIG=" + testFile}, g.env...)
	}
	if g.options != nil {
		g.options(&opts)
	}
	return Load(opts)
}

func (g given) mustLoad(t testing.TB) *Config {
	t.Helper()
	cfg, warnings, err := g.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Fatalf("warnings: %v", warnings)
	}
	return cfg
}

// problems are the errors that Load joined, as text.
func problems(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not joined: %v", err)
	}
	var out []string
	for _, err := range joined.Unwrap() {
		var key *KeyError
		if !errors.As(err, &key) {
			t.Fatalf("not a KeyError: %v", err)
		}
		if key.Key == "" || key.Problem == "" {
			t.Fatalf("a KeyError without key or problem: %#v", key)
		}
		out = append(out, err.Error())
	}
	return out
}

// account is the YAML of one sound account, with more keys.
func account(more string) string {
	return fmt.Sprintf("accounts: [{name: acme, username: u, password: p%s}]", more)
}

func wantOne(t *testing.T, list []string, want string) {
	t.Helper()
	if len(list) != 1 || !strings.Contains(list[0], want) {
		t.Errorf("got %d:\n%s\nwant one with %q", len(list), strings.Join(list, "\n"), want)
	}
}
