package main

import (
	"strings"
	"testing"
)

// fake is a graph with the packages that every rule is for, and no imports.
func fake() graph {
	g := graph{}
	for _, name := range []string{
		"cmd/vendstream", "cmd/vendlab", "internal/purchase", "consumer", "poller", "publisher",
		"internal/vendor", "internal/dedupe", "internal/quota", "internal/tokens", "internal/due", "internal/combine", "internal/catalog", "internal/config", "internal/broker",
		"internal/gate", "internal/pause", "internal/batch", "internal/audit", "internal/housekeeping", "internal/telemetry", "internal/lifecycle", "internal/worker",
		"internal/output", "internal/simulator", "internal/servertest", "internal/failpoint", "internal/app",
	} {
		path := module + "/" + name
		g[path] = pkg{ImportPath: path}
	}
	return g
}

func (g graph) imports(from string, to ...string) {
	path := strings.Replace(from, ".", module, 1)
	p := g[path]
	p.ImportPath = path
	for _, t := range to {
		if rest, local := strings.CutPrefix(t, "."); local {
			t = module + rest
		}
		p.Imports = append(p.Imports, t)
	}
	g[path] = p
}

func TestRules(t *testing.T) {
	tests := map[string]struct {
		build func(graph)
		want  []string // the beginnings of the complaints; none: allowed
	}{
		"nothing imports anything": {func(graph) {}, nil},
		"what the design asks for": {func(g graph) {
			g.imports("./cmd/vendstream", "./internal/app", "github.com/spf13/cobra", jetStream)
			g.imports("./cmd/vendlab", "./internal/lab")
			g.imports("./internal/lab", "./internal/app", "./internal/simulator", "github.com/nats-io/nats-server/v2/server")
			g.imports("./internal/app", "./consumer", "./poller", "./internal/broker", jetStream)
			g.imports("./internal/broker", "./publisher", "./internal/worker", jetStream)
			g.imports("./internal/purchase", "encoding/json", "math/big")
			g.imports("./consumer", "./internal/purchase", "./internal/dedupe", "./publisher")
		}, nil},
		"an embedded server far below vendstream": {func(g graph) {
			g.imports("./cmd/vendstream", "./internal/app")
			g.imports("./internal/app", "example.org/helper")
			g["example.org/helper"] = pkg{ImportPath: "example.org/helper", Imports: []string{"github.com/nats-io/nats-server/v2/server"}}
		}, []string{"./cmd/vendstream imports ./internal/app imports example.org/helper imports github.com/nats-io/nats-server/v2/server: "}},
		"a library in the domain": {func(g graph) {
			g.imports("./internal/purchase", "github.com/shopspring/decimal")
		}, []string{"./internal/purchase imports github.com/shopspring/decimal: "}},
		"the domain knows a neighbour": {func(g graph) {
			g.imports("./internal/purchase", "./internal/lifecycle")
		}, []string{"./internal/purchase imports ./internal/lifecycle: "}},
		"a test of the poller uses the consumer": {func(g graph) {
			p := g[module+"/poller"]
			p.XTestImports = []string{module + "/consumer"}
			g[module+"/poller"] = p
		}, []string{"./poller imports ./consumer: "}},
		"one adapter uses another": {func(g graph) {
			g.imports("./internal/dedupe", "./internal/config")
		}, []string{"./internal/dedupe imports ./internal/config: "}},
		"the token store opens what it keeps": {func(g graph) {
			g.imports("./internal/tokens", "./internal/vendor", goRedis[:len(goRedis)-len("/...")])
		}, []string{"./internal/tokens imports ./internal/vendor: "}},
		"the vendor's client brings its own store": {func(g graph) {
			g.imports("./internal/vendor", "./internal/tokens")
		}, []string{"./internal/vendor imports ./internal/tokens: "}},
		"the catalog calls the vendor by way of the program": {func(g graph) {
			g.imports("./internal/catalog", "./internal/app", "./internal/vendor", "./internal/purchase", goRedis[:len(goRedis)-len("/...")])
		}, []string{"./internal/catalog imports ./internal/app: ", "./internal/catalog imports ./internal/app: "}},
		"a handler acknowledges by itself": {func(g graph) {
			g.imports("./consumer", jetStream)
		}, []string{"./consumer imports " + jetStream + ": ", "./consumer imports " + jetStream + ": "}},
		"the simulator peeks at the domain": {func(g graph) {
			g.imports("./internal/simulator", "./internal/purchase")
		}, []string{"./internal/simulator imports ./internal/purchase: "}},
		"the app brings the simulator into production": {func(g graph) {
			g.imports("./cmd/vendstream", "./internal/app")
			g.imports("./internal/app", "./internal/simulator")
		}, []string{"./cmd/vendstream imports ./internal/app imports ./internal/simulator: ", "./internal/app imports ./internal/simulator: "}},
		"a package that rules are for is gone": {func(g graph) {
			delete(g, module+"/publisher")
		}, []string{"a rule is for ./publisher, and there is no such package"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := fake()
			test.build(g)
			got := g.check(rules)
			if len(got) != len(test.want) {
				t.Fatalf("complaints: %v\nwant %d", got, len(test.want))
			}
			for i, err := range got {
				if !strings.HasPrefix(err.Error(), test.want[i]) {
					t.Errorf("complaint %d: %q, want %q …", i, err, test.want[i])
				}
			}
		})
	}
}

func TestEveryRuleSaysWhy(t *testing.T) {
	for i, r := range rules {
		if r.why == "" || len(r.from) == 0 || len(r.never) == 0 {
			t.Errorf("rule %d is not complete: %+v", i, r)
		}
	}
}
