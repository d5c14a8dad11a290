package publisher

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Whatever this package says to a server goes through a Wire, so that a test can
// lose any answer: no file but the Wire's two uses the connection. DeadSequences reads a list
// and decides nothing, and MaxPayload is known without asking.
func TestEverythingGoesThroughTheWire(t *testing.T) {
	allowed := map[string]bool{"s.js.Stream": true, "s.nc.MaxPayload": true}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "wire.go" || name == "gather.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			use, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			var owner string
			switch of := use.X.(type) {
			case *ast.Ident:
				owner = of.Name
			case *ast.SelectorExpr:
				if base, ok := of.X.(*ast.Ident); ok {
					owner = base.Name + "." + of.Sel.Name
				}
			}
			if owner != "js" && owner != "nc" && !strings.HasSuffix(owner, ".js") && !strings.HasSuffix(owner, ".nc") {
				return true
			}
			what := owner + "." + use.Sel.Name
			if !allowed[what] {
				t.Errorf("%s: %s goes past the Wire", name, what)
			}
			seen[what] = true
			return true
		})
	}
	for what := range allowed {
		if !seen[what] {
			t.Errorf("%s is allowed and not used", what)
		}
	}
}
