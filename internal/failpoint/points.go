package failpoint

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
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
	rolePauses    = "pauses"
)

// owners are the structs whose ports are wrapped: every field that is an
// interface or a function, less the ones that have no effect.
var owners = []owner{
	{roleConsumer, reflect.TypeFor[consumer.Config]()},
	{roleConsumer, reflect.TypeFor[gate.Config]()},
	{roleConsumer, reflect.TypeFor[broker.Prioritized]()},
	{rolePoller, reflect.TypeFor[poller.Config]()},
	{rolePoller, reflect.TypeFor[gate.Config]()},
	{roleStrays, reflect.TypeFor[consumer.Strays]()},
}

type owner struct {
	role string
	of   reflect.Type
}

// effectless are fields that only tell somebody what was done, or compute.
var effectless = []string{"Observer", "Report", "Changed", "BackOff"}

// within are fields whose own effects are wrapped elsewhere: a gate's as those of
// gate.Config, a source's pulls as those of whoever pulls. Neighbours have none: they
// are times in memory.
var within = []reflect.Type{
	reflect.TypeFor[*gate.Gate](), reflect.TypeFor[*broker.Source](), reflect.TypeFor[broker.Puller](), reflect.TypeFor[*consumer.Neighbours](),
}

// memory are methods that read what the process holds itself.
var memory = []string{"shared.record"}

// ports are the fields of an owner that have effects, by name: an interface, or a
// function, which counts as one with the method Call.
func ports(of reflect.Type) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for i := range of.NumField() {
		f := of.Field(i)
		kind := f.Type.Kind()
		if (kind == reflect.Interface || kind == reflect.Func) && !slices.Contains(effectless, f.Name) && !slices.Contains(within, f.Type) {
			found[f.Name] = f.Type
		}
	}
	return found
}

// methods are the names of a port's effects, below its own name.
func methods(name string, port reflect.Type) (all []string) {
	if port.Kind() == reflect.Func {
		return []string{strings.ToLower(name) + ".call"}
	}
	for i := range port.NumMethod() {
		method := strings.ToLower(name + "." + port.Method(i).Name)
		if !slices.Contains(memory, method) {
			all = append(all, method)
		}
	}
	return all
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
	add := func(role string, names ...string) {
		for _, name := range names {
			all = append(all, role+"."+name)
		}
	}
	for _, owner := range owners {
		for name, port := range ports(owner.of) {
			add(owner.role, methods(name, port)...)
			if port == reflect.TypeFor[worker.Source]() {
				add(owner.role, "source.deliver")
				add(owner.role, methods("acker", reflect.TypeFor[worker.Acker]())...)
			}
		}
	}
	for role, names := range wirePoints {
		add(role, names...)
	}
	add("vendor", methods("share", reflect.TypeFor[vendor.TokenShare]())...)
	add(rolePauses, methods("store", reflect.TypeFor[pause.Store]())...)
	add(rolePauses, "store.tell")
	all = append(all, httpPoints...)
	slices.Sort(all)
	return all
}

// silent are effects that give their caller no error to be told.
var silent = []string{
	"consumer.catalog.check", "consumer.catalog.stale",
	"consumer.hold.call", "poller.hold.call", "consumer.shared.observe", "poller.shared.observe",
}

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
	case !strings.HasSuffix(effect, ".source.deliver") && effect != "pauses.store.tell": // handed over: there is no answer
		actions = append(actions, Lose)
	}
	return actions
}
