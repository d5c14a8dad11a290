// Package deploy_test holds the files of this directory, docker-compose.yml and
// the README against the programs: no container engine is needed for that.
package deploy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vendstream/vendstream/internal/config"
)

const root = ".."

// bin is where the programs are, built as the Dockerfile builds them.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "vendstream-deploy")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/...")
		build.Dir = root
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
			return 1
		}
		bin = dir
		return m.Run()
	}())
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// program runs one of the programs, with no environment but env.
func program(t *testing.T, env []string, name string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	cmd.Env = env
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	word     = regexp.MustCompile(`^[a-z]+$`)
	helpFlag = regexp.MustCompile(`(?m)^ +(?:-([a-zA-Z]), )?(?:--([a-z-]+))?`)
	helps    sync.Map // by command line
)

// checkCommand checks that a command line names a command of a program, and only
// flags that it has. Values and arguments are not looked at.
func checkCommand(t *testing.T, name string, args []string) {
	t.Helper()
	words := args[:0:0]
	for _, arg := range args {
		if !word.MatchString(arg) {
			break
		}
		words = append(words, arg)
	}
	// A trailing word may be an argument: the longest command that exists counts.
	line := strings.Join(append([]string{name}, words...), " ")
	help, ok := helps.Load(line)
	if !ok {
		out, err := program(t, nil, name, append(slices.Clone(words), "--help")...)
		if err != nil {
			t.Errorf("%s --help: %v\n%s", line, err, out)
			return
		}
		help = out
		helps.Store(line, out)
	}
	_, usage, _ := strings.Cut(help.(string), "Usage:\n")
	usage = strings.TrimSpace(usage)
	if !strings.HasPrefix(usage+" ", line+" ") && !strings.HasPrefix(usage, line+"\n") {
		t.Errorf("there is no command %q; its help is that of %q", line, firstLine(usage))
		return
	}
	known := map[string]bool{"--help": true}
	for _, m := range helpFlag.FindAllStringSubmatch(help.(string), -1) {
		if m[1] != "" {
			known["-"+m[1]] = true
		}
		if m[2] != "" {
			known["--"+m[2]] = true
		}
	}
	for _, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(flag, "-") && len(flag) > 1 && !known[flag] {
			t.Errorf("%s has no flag %s", line, flag)
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// checkVariables checks that every variable of ours is one that the program
// reads: of a key, or named by an account as its password_env.
func checkVariables(t *testing.T, where string, env map[string]string, cfg *config.Config) {
	t.Helper()
	for name, value := range env {
		if strings.HasPrefix(name, "VENDSTREAM_") {
			_, warnings, err := config.Load(config.Options{
				Environ:  []string{name + "=" + value},
				ReadFile: func(string) ([]byte, error) { return nil, nil },
			})
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s: variable %s: %v %v", where, name, warnings, err)
			}
			continue
		}
		if !slices.ContainsFunc(cfg.Accounts, func(a config.Account) bool { return a.PasswordEnv == name }) {
			t.Errorf("%s: variable %s is read by nobody", where, name)
		}
	}
}

func environ(env map[string]string) []string {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stopTime is what a stop may take (contract: vendor.timeout and 5 s).
func stopTime(cfg *config.Config) time.Duration { return cfg.Vendor.Timeout + 5*time.Second }

var (
	pinned    = regexp.MustCompile(`^[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?$`)
	goVersion = regexp.MustCompile(`(?m)^go ([0-9.]+)$`)
)

// required is the version of a module in go.mod.
func required(t *testing.T, module string) string {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(module) + ` v([0-9.]+)`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil {
		t.Fatalf("go.mod does not require %s", module)
	}
	return m[1]
}
