package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A configuration of any size, depth or cunning is refused in bounded memory, with
// an error that somebody can read.
func TestHostileFiles(t *testing.T) {
	bomb := "bomb: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 20 {
		bomb += fmt.Sprintf("bomb%d: &a%d [%s]\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	var unknown strings.Builder
	for i := 0; unknown.Len() < maxFile-100; i++ {
		fmt.Fprintf(&unknown, "k%d: 1\n", i)
	}
	for name, text := range map[string]string{
		"lists in lists":       strings.Repeat("[", maxFile),
		"mappings":             strings.Repeat("{a: ", maxFile/4),
		"a list":               "accounts: [" + strings.Repeat("a,", maxFile/8) + "]",
		"accounts without all": "accounts: [" + strings.Repeat("{},", 50_000) + "]",
		"empty accounts":       "accounts:\n" + strings.Repeat("-\n", maxFile/8),
		"keys":                 unknown.String(),
		"one key many times":   strings.Repeat("log: {}\n", maxFile/8),
		"a long text":          "nats: {url: \"" + strings.Repeat("x", maxFile-20) + "\"}",
		"a long key":           strings.Repeat("x", maxFile-20) + ": 1",
		"documents":            strings.Repeat("---\n", maxFile/4),
		"aliases of aliases":   bomb,
		"aliases of accounts":  "accounts: &a\n- *a\n" + strings.Repeat("- *a\n", 100_000),
		"comments":             strings.Repeat("#\n", maxFile/2),
		"too large":            strings.Repeat("#\n", maxFile/2) + "#",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "vendstream.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := Load(Options{Environ: []string{envConfig + "=" + file}})
			shown := 0
			if err != nil {
				shown = len(err.Error())
			}
			runtime.ReadMemStats(&after)
			if err == nil && name != "comments" {
				t.Error("taken")
			}
			spent := after.TotalAlloc - before.TotalAlloc
			// The nodes of the parser are the most of it: some 250 bytes for two of text.
			if spent > 512<<20 {
				t.Errorf("%d MiB for a file of %d KiB", spent>>20, len(text)>>10)
			}
			if shown > 128<<10 {
				t.Errorf("the error has %d bytes: %.300s", shown, err)
			}
		})
	}
}
