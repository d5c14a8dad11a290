package deploy_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v\S+(?: // indirect)?$`)
	moduleRow   = regexp.MustCompile(`(?m)^\| ([a-z.]+\.[a-z]+/\S+) \|`)
)

// TestDependencies checks that docs/dependencies.md lists every module that this
// one imports, and none that go.mod does not require.
func TestDependencies(t *testing.T) {
	required := map[string]bool{}
	for _, m := range requirement.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		required[m[1]] = true
	}
	listed := map[string]bool{}
	for _, m := range moduleRow.FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		listed[m[1]] = true
		if !required[m[1]] {
			t.Errorf("%s is listed, and go.mod does not require it", m[1])
		}
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{range .Imports}}{{.}} {{end}}{{range .TestImports}}{{.}} {{end}}{{range .XTestImports}}{{.}} {{end}}`, "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") || strings.HasPrefix(path, "github.com/vendstream/vendstream") {
			continue
		}
		if module := moduleOf(path, required); !listed[module] {
			t.Errorf("%s is imported, and module %q is not listed", path, module)
		}
	}
}

// moduleOf is the longest required module that holds a package.
func moduleOf(path string, required map[string]bool) string {
	for module := path; module != ""; {
		if required[module] {
			return module
		}
		cut := strings.LastIndexByte(module, '/')
		if cut < 0 {
			break
		}
		module = module[:cut]
	}
	return ""
}
