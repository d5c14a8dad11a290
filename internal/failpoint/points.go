package failpoint

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/poller"
)

// roles whose effects are told apart.
const (
	roleConsumer  = "consumer"
	rolePoller    = "poller"
	roleStrays    = "strays"
	rolePublisher = "publisher"
)

// owners are the structs whose ports are wrapped: every field that is an
// interface, less the ones that have no effect.
var owners = []struct {
	role string
	of   reflect.Type
}{
	{roleConsumer, reflect.TypeFor[consumer.Config]()},
	{rolePoller, reflect.TypeFor[poller.Config]()},
	{roleStrays, reflect.TypeFor[consumer.Strays]()},
}

// effectless are fields that only tell somebody what was done.
var effectless = []string{"Observer"}

// ports are the fields of an owner that are interfaces with effects, by name.
func ports(of reflect.Type) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Type.Kind() == reflect.Interface && !slices.Contains(effectless, f.Name) {
			found[f.Name] = f.Type
		}
	}
	return found
}

// Single messages and calls, below the ports: one method of a port may need several.
var (
	wirePoints = map[string][]string{
		roleConsumer:  {"publish.results", "publish.pending", "publish.dead", "read.results", "read.pending", "read.dead"},
		rolePoller:    {"publish.results", "publish.pending", "publish.dead", "read.results", "read.pending", "read.dead", "read.requests"},
		roleStrays:    {"publish.dead", "read.results", "read.pending", "read.dead"},
		rolePublisher: {"publish.requests", "publishasync.requests", "read.requests"},
	}
	httpPoints = []string{
		"consumer.http.purchase", "consumer.http.transactions", "consumer.http.lookup",
		"poller.http.purchase", "poller.http.transactions",
		"vendor.http.token", "vendor.http.token_refresh",
		"vendor.http.products", "vendor.http.categories", "vendor.http.category_fields",
	}
)

// Effects names every effect, sorted. Each has a point before and a point after it.
func Effects() []string {
	var all []string
	add := func(prefix string, port reflect.Type) {
		for i := range port.NumMethod() {
			all = append(all, prefix+"."+strings.ToLower(port.Method(i).Name))
		}
	}
	for _, owner := range owners {
		for name, port := range ports(owner.of) {
			add(owner.role+"."+strings.ToLower(name), port)
			if port == reflect.TypeFor[worker.Source]() {
				all = append(all, owner.role+".source.deliver")
				add(owner.role+".acker", reflect.TypeFor[worker.Acker]())
			}
		}
		for _, name := range wirePoints[owner.role] {
			all = append(all, owner.role+"."+name)
		}
	}
	for _, name := range wirePoints[rolePublisher] {
		all = append(all, rolePublisher+"."+name)
	}
	add("vendor.share", reflect.TypeFor[vendor.TokenShare]())
	all = append(all, httpPoints...)
	slices.Sort(all)
	return all
}

// silent are effects that give their caller no error to be told.
var silent = []string{"consumer.catalog.check", "consumer.catalog.stale"}

// Points are the two points of every effect, in the order of Effects.
func Points() []string {
	var all []string
	for _, effect := range Effects() {
		all = append(all, effect+before, effect+after)
	}
	return all
}

// Actions are what can happen at a point.
func Actions(point string) []Action {
	actions := []Action{Die, Pause}
	effect, isAfter := strings.CutSuffix(point, after)
	switch effect = strings.TrimSuffix(effect, before); {
	case slices.Contains(silent, effect):
	case !isAfter:
		actions = append(actions, Error)
	case !strings.HasSuffix(effect, ".source.deliver"): // handed over: there is no answer
		actions = append(actions, Lose)
	}
	return actions
}
