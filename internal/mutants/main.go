// Command mutants shows that the tests can fail: it puts one mistake at a time
// into the program and runs the tests, first those of the packages concerned,
// then the simulation. The tree is not touched (go test -overlay). It prints a
// table in Markdown, and exits 1 where a mutant survived.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	histories := flag.Int("histories", 1000, "how many histories the simulation has to find a mutant")
	only := flag.String("only", "", "run the mutants whose names match this expression")
	tier := flag.String("tier", "unit,simulation", "the tiers to run")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Println("| mutant | unit tests | simulation |\n|---|---|---|")
	var survivors []string
	for _, m := range mutants {
		if !match.MatchString(m.name) {
			continue
		}
		overlay, err := write(dir, m.edits)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		unit, simulation := "-", "-"
		caught := false
		if strings.Contains(*tier, "unit") {
			found, _, took := test(ctx, overlay, append([]string{"-failfast"}, m.units...)...)
			unit, caught = cell(found, "", took), found
		}
		if strings.Contains(*tier, "simulation") {
			found, seed, took := test(ctx, overlay, "./internal/simulation", "-run", "^TestHistories$", "-untilbroken", "-histories", fmt.Sprint(*histories))
			simulation, caught = cell(found, seed, took), caught || found
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Printf("| %s | %s | %s |\n", m.name, unit, simulation)
		if !caught {
			survivors = append(survivors, m.name)
		}
	}
	if len(survivors) > 0 {
		return fmt.Errorf("survived: %s", strings.Join(survivors, "; "))
	}
	return nil
}

// write makes the mutated files and the overlay that puts them in the others' place.
func write(dir string, edits []edit) (overlay string, err error) {
	changed, err := apply(edits)
	if err != nil {
		return "", err
	}
	var pairs []string
	for file, text := range changed {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		pairs = append(pairs, fmt.Sprintf("%q: %q", file, path))
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, []byte(`{"Replace": {`+strings.Join(pairs, ", ")+`}}`), 0o600)
}

// apply makes the text of each file that is edited, by the file's path.
func apply(edits []edit) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range edits {
		if _, there := changed[e.file]; !there {
			text, err := os.ReadFile(e.file)
			if err != nil {
				return nil, err
			}
			changed[e.file] = string(text)
		}
		if n := strings.Count(changed[e.file], e.old); n != 1 {
			return nil, fmt.Errorf("%s: the text to be replaced is there %d times: %q", e.file, n, e.old)
		}
		changed[e.file] = strings.Replace(changed[e.file], e.old, e.new, 1)
	}
	return changed, nil
}

var seedOf = regexp.MustCompile(`seed ([0-9]+): `)

// test runs go test on the mutant and reports whether it failed, and at which seed.
func test(ctx context.Context, overlay string, args ...string) (failed bool, seed string, took time.Duration) {
	start := time.Now()
	all := append([]string{"test", "-count=1", "-timeout=10m", "-overlay", overlay}, args...)
	out, err := exec.CommandContext(ctx, "go", all...).CombinedOutput() //nolint:gosec // our own table
	if found := seedOf.FindSubmatch(out); found != nil {
		seed = string(found[1])
	}
	if err != nil && strings.Contains(string(out), "[build failed]") {
		fmt.Fprintf(os.Stderr, "%s\n", out)
		return false, "", time.Since(start)
	}
	return err != nil, seed, time.Since(start)
}

func cell(found bool, seed string, took time.Duration) string {
	switch {
	case !found:
		return "survives"
	case seed != "":
		return fmt.Sprintf("history %s, %.0f s", seed, took.Seconds())
	default:
		return fmt.Sprintf("%.0f s", took.Seconds())
	}
}
