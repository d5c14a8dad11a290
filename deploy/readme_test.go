package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/config"
	"github.com/vendstream/vendstream/internal/lifecycle"
)

var (
	tableRow  = regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]-]+)` \\| (?:`([A-Z_]*)`|–) \\| (.*?) \\| .+ \\|$")
	index     = regexp.MustCompile(`\[[0-9]+\]`)
	listed    = regexp.MustCompile("(?s)\n```sh\n(.*?)```")
	quoted    = regexp.MustCompile("`((?:vendstream|vendlab|make|go run \\./cmd/[a-z]+) [^`]*)`")
	link      = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	target    = regexp.MustCompile(`(?m)^([a-z-]+):`)
	exitTable = regexp.MustCompile(`(?m)^\| ([0-9]+) \| .+ \|$`)
)

// TestConfigurationTable holds the README's table against the keys, variables
// and defaults that the program has.
func TestConfigurationTable(t *testing.T) {
	cfg, _, err := config.Load(config.Options{
		Environ: []string{"VENDSTREAM_ACCOUNT=a", "PAGAMIO_USERNAME=u", "PAGAMIO_PASSWORD=p"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	var keys []string
	for _, row := range cfg.Masked().Rows() {
		key := index.ReplaceAllString(row.Key, "[]")
		if strings.HasPrefix(key, "poller.schedule") {
			key, row.Value = "poller.schedule", "as above"
		}
		if slices.Contains([]string{"accounts[].name", "accounts[].username", "accounts[].password"}, key) {
			row.Value = "required"
		}
		if _, twice := defaults[key]; !twice {
			keys = append(keys, key)
		}
		defaults[key] = row.Value
	}
	documented := map[string]bool{}
	for _, m := range tableRow.FindAllStringSubmatch(read(t, "README.md"), -1) {
		key, variable, value := m[1], m[2], strings.Trim(m[3], "`")
		documented[key] = true
		want, there := defaults[key]
		if !there {
			t.Errorf("there is no key %s", key)
			continue
		}
		if !same(value, want) {
			t.Errorf("%s: the default is %q, not %q", key, want, value)
		}
		name := "VENDSTREAM_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if strings.HasPrefix(key, "accounts[]") {
			name = map[string]string{
				"accounts[].name": "VENDSTREAM_ACCOUNT", "accounts[].base_url": "PAGAMIO_BASE_URL",
				"accounts[].username": "PAGAMIO_USERNAME", "accounts[].password": "PAGAMIO_PASSWORD",
			}[key]
		}
		if variable != name {
			t.Errorf("%s: the variable is %q, not %q", key, name, variable)
		}
	}
	for _, key := range keys {
		if !documented[key] {
			t.Errorf("%s is not in the table", key)
		}
	}
}

// same reports whether a default is documented as it is: nothing is "none", and
// a duration may be spelled in another way.
func same(documented, is string) bool {
	if is == "" {
		return documented == "none"
	}
	a, errA := time.ParseDuration(documented)
	b, errB := time.ParseDuration(is)
	return documented == is || errA == nil && errB == nil && a == b
}

// TestCommands checks that every command that the documents name is there, with
// the flags they give it.
func TestCommands(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	seen := 0
	for _, name := range documents(t) {
		text := read(t, name)
		var lines []string
		for _, block := range listed.FindAllStringSubmatch(text, -1) {
			for _, line := range strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
				line, _, _ = strings.Cut(line, " #")
				lines = append(lines, line)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			for _, part := range strings.Split(line, "|") {
				words := strings.Fields(part)
				if len(words) > 2 && words[0] == "go" && words[1] == "run" {
					words = append([]string{filepath.Base(words[2])}, words[3:]...)
				}
				if len(words) < 2 {
					continue
				}
				seen++
				switch words[0] {
				case "make":
					if !targets[words[1]] {
						t.Errorf("%s: there is no `make %s`", name, words[1])
					}
				case "vendstream", "vendlab":
					checkCommand(t, words[0], words[1:])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

func TestExitCodes(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "README.md"), "\n## Commands")
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for _, m := range exitTable.FindAllStringSubmatch(section, -1) {
		got = append(got, m[1])
	}
	var want []string
	for _, code := range []int{
		lifecycle.Done, lifecycle.Failed, lifecycle.Usage, lifecycle.FailedPurchases,
		lifecycle.OutcomeUnknown, lifecycle.NotConnected, lifecycle.Interrupted,
	} {
		want = append(want, itoa(code))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table has %v, the program %v", got, want)
	}
}

// TestMetricsTable checks that the README names every metric, and no other.
func TestMetricsTable(t *testing.T) {
	known := metrics(t)
	text := read(t, "README.md")
	for name := range known {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the README does not name %s", name)
		}
	}
	for _, name := range documents(t) {
		for _, metric := range regexp.MustCompile("`(vendstream_[a-z_]+)[{`]").FindAllStringSubmatch(read(t, name), -1) {
			if _, there := known[metric[1]]; !there {
				t.Errorf("%s: there is no metric %s", name, metric[1])
			}
		}
	}
}

// TestLinks checks that every file that the documents link to is there.
func TestLinks(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			relative, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, relative)
		}
	}
	return found
}
