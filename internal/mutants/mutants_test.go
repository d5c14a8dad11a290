package main

import (
	"os/exec"
	"testing"
)

// The table does not rot: each text is where it says, once, and what takes its
// place compiles. Mutants of different files are built together.
func TestMutantsCompile(t *testing.T) {
	t.Chdir("../..")
	if len(mutants) < 15 {
		t.Errorf("%d mutants", len(mutants))
	}
	left := mutants
	for len(left) > 0 {
		var now []edit
		var later []mutant
		taken := map[string]bool{}
		for _, m := range left {
			busy := false
			for _, e := range m.edits {
				busy = busy || taken[e.file]
			}
			if busy {
				later = append(later, m)
				continue
			}
			if _, err := apply(m.edits); err != nil {
				t.Errorf("%s: %v", m.name, err)
				continue
			}
			for _, e := range m.edits {
				taken[e.file] = true
			}
			now = append(now, m.edits...)
		}
		left = later
		overlay, err := write(t.TempDir(), now)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"build", "-overlay", overlay, "./consumer", "./poller", "./publisher", "./internal/purchase", "./internal/vendor", "./internal/broker", "./internal/dedupe/..."}
		if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
			t.Errorf("a mutant does not compile: %v\n%s", err, out)
		}
	}
}
