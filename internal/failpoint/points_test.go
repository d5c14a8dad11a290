package failpoint

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vendstream/vendstream/consumer"
	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/gate"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
	"github.com/vendstream/vendstream/internal/worker"
	"github.com/vendstream/vendstream/poller"
	"github.com/vendstream/vendstream/publisher"
)

// testSet is a set whose process does not end with a point: the test does.
func testSet(t *testing.T, orders string) *Set {
	t.Helper()
	s, err := newSet(orders, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s.die = func() { t.Error("the process would have died") }
	return s
}

// filled is an owner whose ports are all fakes.
func filled(t *testing.T, of reflect.Type, calls *int) reflect.Value {
	t.Helper()
	owner := reflect.New(of)
	for name, port := range ports(of) {
		if port.Kind() == reflect.Func {
			owner.Elem().FieldByName(name).Set(reflect.MakeFunc(port, func([]reflect.Value) []reflect.Value {
				*calls++
				return nil
			}))
			continue
		}
		if !reflect.TypeFor[fake]().Implements(port) {
			t.Fatalf("%s.%s has a method that the tests' fake lacks: add it to the fake, its decorator, and see that a run comes by", of, name)
		}
		owner.Elem().FieldByName(name).Set(reflect.ValueOf(fake{calls}))
	}
	return owner
}

// wrapped are the owners as the program wraps them, in their order.
func wrapped(t *testing.T, s *Set, calls *int) (all []reflect.Value) {
	t.Helper()
	for _, owner := range owners {
		var with any
		switch before := filled(t, owner.of, calls).Interface().(type) {
		case *consumer.Config:
			after := s.Consumer(*before)
			with = &after
		case *poller.Config:
			after := s.Poller(*before)
			with = &after
		case *gate.Config:
			before.Polls = owner.role == rolePoller
			after := s.Gate(*before)
			with = &after
		case *consumer.Strays:
			with = s.Strays(before)
		case *broker.Prioritized:
			with = s.Priority(before)
		default:
			t.Fatalf("nobody wraps %s", owner.of)
		}
		all = append(all, reflect.ValueOf(with).Elem())
	}
	return all
}

// call calls a method with arguments that are zero, and the real thing where zero
// would not do.
func call(t *testing.T, method reflect.Value, keep func([]*worker.Delivery)) []reflect.Value {
	in := make([]reflect.Value, 0, method.Type().NumIn())
	for i := range method.Type().NumIn() {
		switch of := method.Type().In(i); of {
		case reflect.TypeOf(keep):
			in = append(in, reflect.ValueOf(keep))
		case reflect.TypeOf(t.Context()), reflect.TypeFor[interface{ Done() <-chan struct{} }]():
			in = append(in, reflect.ValueOf(t.Context()))
		default:
			if of.Kind() == reflect.Func { // one that is to be told
				in = append(in, reflect.MakeFunc(of, func([]reflect.Value) []reflect.Value { return nil }))
				continue
			}
			if of.Kind() == reflect.Interface && reflect.TypeOf(t.Context()).Implements(of) {
				in = append(in, reflect.ValueOf(t.Context()))
				continue
			}
			in = append(in, reflect.Zero(of))
		}
	}
	if method.Type().IsVariadic() {
		return method.CallSlice(in)
	}
	return method.Call(in)
}

// through calls every method of a port and wants its two points hit, and the
// effect itself to happen.
func through(t *testing.T, s *Set, role, name string, port reflect.Value, calls *int) {
	t.Helper()
	of := port.Type()
	one := func(effect string, method reflect.Value) (acks []*worker.Delivery) {
		t.Helper()
		was, did := s.Hits(), *calls
		call(t, method, func(chunk []*worker.Delivery) { acks = chunk })
		is := s.Hits()
		for _, point := range []string{effect + before, effect + after} {
			if is[point] != was[point]+1 {
				t.Errorf("%s: hit %d times by one call", point, is[point]-was[point])
			}
		}
		if *calls != did+1 {
			t.Errorf("%s: carried out %d times by one call", effect, *calls-did)
		}
		return acks
	}
	if of.Kind() == reflect.Func {
		one(role+"."+methods(name, of)[0], port)
		return
	}
	if port.Elem().Type().PkgPath() != reflect.TypeFor[Set]().PkgPath() {
		t.Errorf("%s.%s has no points around it: %s", role, name, port.Elem().Type())
		return
	}
	for i := range of.NumMethod() {
		effect := strings.ToLower(name + "." + of.Method(i).Name)
		if slices.Contains(memory, effect) {
			continue
		}
		acks := one(role+"."+effect, port.MethodByName(of.Method(i).Name))
		if of == reflect.TypeFor[worker.Source]() {
			acker := reflect.New(reflect.TypeFor[worker.Acker]()).Elem()
			acker.Set(reflect.ValueOf(acks[0].Acker))
			through(t, s, role, "acker", acker, calls)
		}
	}
}

// Every method of every port has its points. It fails when a port or a method is
// added and nothing is put around it.
func TestEveryEffectOfThePortsHasPoints(t *testing.T) {
	var calls int
	s := testSet(t, "")
	for i, owner := range wrapped(t, s, &calls) {
		for name := range ports(owner.Type()) {
			through(t, s, owners[i].role, name, owner.FieldByName(name), &calls)
		}
	}
	config := struct {
		Share vendor.TokenShare
		Store pause.Store
	}{s.Vendor(vendor.Config{Share: fake{&calls}}).Share, s.Pauses(fakePauses{&calls})}
	through(t, s, "vendor", "share", reflect.ValueOf(&config).Elem().FieldByName("Share"), &calls)
	through(t, s, rolePauses, "store", reflect.ValueOf(&config).Elem().FieldByName("Store"), &calls)
	for _, point := range Points() {
		if s.Hits()[point] == 0 && !below(point) {
			t.Errorf("%s is listed, and no method of a port comes by", point)
		}
	}
}

// An owner has no way to an effect but its ports: a field that may hold one is a
// port, is wrapped elsewhere, or is said to have none. And what a board of pauses
// does it does through its store.
func TestEveryWayToAnEffectIsKnown(t *testing.T) {
	for _, owner := range owners {
		for i := range owner.of.NumField() {
			switch f := owner.of.Field(i); f.Type.Kind() {
			case reflect.Interface, reflect.Func:
				if !f.IsExported() && !slices.Contains(within, f.Type) {
					t.Errorf("%s.%s cannot be wrapped: it is not exported", owner.of, f.Name)
				}
			case reflect.Pointer, reflect.Chan, reflect.UnsafePointer:
				if !slices.Contains(within, f.Type) {
					t.Errorf("%s.%s may have effects that nothing is put around: list it", owner.of, f.Name)
				}
			}
		}
	}
	for of, known := range map[reflect.Type][]string{
		reflect.TypeFor[pause.Board]():   {"store", "report", "Changed"},
		reflect.TypeFor[vendor.Config](): {"Share", "Observe", "Through", "Transport"},
	} {
		for i := range of.NumField() {
			f := of.Field(i)
			if kind := f.Type.Kind(); (kind == reflect.Interface || kind == reflect.Func) && !slices.Contains(known, f.Name) {
				t.Errorf("%s.%s may have effects that nothing is put around", of, f.Name)
			}
		}
	}
}

// below reports whether a point is of a single message or call, below the ports.
func below(point string) bool {
	for _, part := range []string{".publish.", ".publishasync.", ".read.", ".http."} {
		if strings.Contains(point, part) {
			return true
		}
	}
	return false
}

// Single messages are told apart by stream and by who sends them.
func TestWire(t *testing.T) {
	var calls int
	s := testSet(t, "")
	store := &publisher.Store{Wire: fake{&calls}}
	s.Store(store)
	subjects := publisher.Subjects{Prefix: "some.shop"}
	send := func(w publisher.Wire, role, name string) {
		t.Helper()
		ctx := at{s, role}.ctx(t.Context())
		kind, stream, _ := strings.Cut(name, ".")
		m := &nats.Msg{Subject: map[string]string{
			"requests": subjects.Requests("acme"), "pending": subjects.Pending("acme", "r"),
			"results": subjects.Result("acme", "r"), "dead": subjects.Dead("acme", 1),
		}[stream]}
		was := calls
		switch kind {
		case "publish":
			_, _ = w.Publish(ctx, m)
		case "publishasync":
			_, _ = w.PublishAsync(m)
		case "read":
			name := map[string]string{
				"requests": subjects.RequestsStream(), "pending": subjects.PendingStream(),
				"results": subjects.ResultsStream(), "dead": subjects.DeadStream(),
			}[stream]
			_, _ = w.Request(ctx, "$JS.API.STREAM.MSG.GET."+name, nil)
		}
		hits := s.Hits()
		if point := role + "." + name; calls != was+1 || hits[point+before] != 1 || hits[point+after] != 1 {
			t.Errorf("%s: %d calls, hit %d and %d times", point, calls-was, hits[point+before], hits[point+after])
		}
	}
	for role, names := range wirePoints {
		w := store.Wire
		if role == rolePublisher {
			w = s.Wire(fake{&calls})
		}
		for _, name := range names {
			send(w, role, name)
		}
	}
	// Whom nothing is asked of has no points: the store is read for other reasons too.
	hits := len(s.Hits())
	_, _ = store.Wire.Publish(t.Context(), &nats.Msg{Subject: subjects.Result("acme", "r")})
	_, _ = store.Wire.Request(t.Context(), "x", nil)
	if len(s.Hits()) != hits {
		t.Error("a message without a role hit a point")
	}
}

func TestErrorHasNoEffect(t *testing.T) {
	var calls int
	for _, point := range Points() {
		if !slices.Contains(Actions(point), Error) || below(point) {
			continue
		}
		s := testSet(t, point+"=error@1")
		if got := told(t, s, point, &calls); got.called || !got.failed || got.lost {
			t.Errorf("%s: %+v", point, got)
		}
	}
}

func TestLoseHasTheEffect(t *testing.T) {
	var calls int
	for _, point := range Points() {
		if !slices.Contains(Actions(point), Lose) || below(point) {
			continue
		}
		s := testSet(t, point+"=lose@1")
		if got := told(t, s, point, &calls); !got.called || !got.failed || !got.lost {
			t.Errorf("%s: %+v", point, got)
		}
	}
}

// portOf is a role's port, by its name in the points.
func portOf(all []reflect.Value, role, port string) reflect.Value {
	for i, owner := range all {
		for name := range ports(owner.Type()) {
			if owners[i].role == role && strings.ToLower(name) == port {
				return owner.FieldByName(name)
			}
		}
	}
	panic("no port " + role + "." + port)
}

// heard is what the caller of an effect is told.
type heard struct{ called, failed, lost bool }

func told(t *testing.T, s *Set, point string, calls *int) (got heard) {
	t.Helper()
	effect, _, _ := strings.Cut(point, ":")
	all := wrapped(t, s, calls)
	was := *calls
	parts := strings.Split(effect, ".")
	var port reflect.Value
	switch {
	case parts[2] == "tell":
		// The change is lost on its way.
		var told int
		_ = s.Pauses(fakePauses{calls}).Watch(t.Context(), func(string, pause.Entry) { told++ }, func() {})
		return heard{called: told > 0, failed: true}
	case parts[0] == rolePauses:
		port = reflect.ValueOf(s.Pauses(fakePauses{calls}))
	case parts[0] == "vendor":
		port = reflect.ValueOf(s.Vendor(vendor.Config{Share: fake{calls}}).Share)
	case parts[1] == "acker":
		port = reflect.ValueOf(acker{at{s, parts[0]}, fake{calls}})
	case parts[2] == "deliver":
		// The delivery is lost on its way.
		var chunks int
		_ = portOf(all, parts[0], "source").Interface().(worker.Source).Pull(t.Context(), 1, func([]*worker.Delivery) { chunks++ })
		return heard{called: chunks > 0, failed: true}
	default:
		port = portOf(all, parts[0], parts[1]).Elem()
	}
	for i := range port.NumMethod() {
		if strings.ToLower(port.Type().Method(i).Name) != parts[2] {
			continue
		}
		for _, v := range call(t, port.Method(i), func([]*worker.Delivery) {}) {
			switch v := v.Interface().(type) {
			case error:
				got.failed, got.lost = errors.Is(v, ErrOrdered), errors.Is(v, errLost)
			case purchase.Outcome:
				// Known not to have happened, or not known: never an answer.
				got.failed = v.Kind == purchase.Unreachable || v.Kind == purchase.Unknown
				got.lost = v.Kind == purchase.Unknown
			case bool: // the right to a probe: not had, or not known to be
				if parts[1] == "shared" {
					got.failed, got.lost = !v, *calls > was
				}
			case nil:
			default:
				if !reflect.ValueOf(v).IsZero() && reflect.TypeOf(v).Kind() != reflect.Struct {
					t.Errorf("%s: the caller got %v with the error", point, v)
				}
			}
		}
	}
	got.called = *calls > was
	return got
}

func TestOrders(t *testing.T) {
	for text, complaint := range map[string]string{
		"":      "",
		"trace": "",
		" ; ":   "",
		"consumer.claims.claim:after=die@3;poller.acker.ack:before=error": "",
		"consumer.claims.claim:after=pause:3s":                            "",
		"consumer.claims.claim":                                           "want point=action@n",
		"consumer.claims.clam:after=die":                                  "no such point",
		"consumer.claims.claim:after=die@0":                               "a number from 1",
		"consumer.claims.claim:after=die@x":                               "a number from 1",
		"consumer.claims.claim:after=die:3s":                              "a pause has a length",
		"consumer.claims.claim:after=pause":                               "a pause has a length",
		"consumer.claims.claim:after=pause:soon":                          "not a length of time",
		"consumer.claims.claim:after=error":                               "the actions of this point are",
		"consumer.claims.claim:before=lose":                               "the actions of this point are",
		"consumer.catalog.check:before=error":                             "the actions of this point are",
		"consumer.claims.claim:after=explode":                             "the actions of this point are",
	} {
		_, err := newSet(text, io.Discard)
		if (err != nil) != (complaint != "") || err != nil && !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v, want %q", text, err, complaint)
		}
	}
}

func TestTheNthHitStrikesAlone(t *testing.T) {
	var out bytes.Buffer
	s, err := newSet("poller.acker.ack:before=error@2;trace", &out)
	if err != nil {
		t.Fatal(err)
	}
	var calls int
	for n := 1; n <= 3; n++ {
		if err := (acker{at{s, rolePoller}, fake{&calls}}).Ack(t.Context()); (err != nil) != (n == 2) {
			t.Errorf("hit %d: %v", n, err)
		}
	}
	if calls != 2 {
		t.Errorf("%d acks, want 2", calls)
	}
	if text := out.String(); strings.Count(text, "failpoint: error at poller.acker.ack:before\n") != 1 ||
		strings.Count(text, "failpoint: hit poller.acker.ack:before\n") != 3 {
		t.Errorf("it wrote %q", text)
	}
}

// An effect that is not listed ends the process: no run has been through it.
func TestUnlistedEffect(t *testing.T) {
	s := testSet(t, "")
	died := false
	s.die = func() { died = true }
	_ = at{s, roleConsumer}.effect("claims.forget", func() error { return nil })
	if !died {
		t.Error("the process lives")
	}
}

// A program as it is released does not hold the points, and one with the tag does.
func TestOnlyWithTheTag(t *testing.T) {
	self := reflect.TypeFor[Set]().PkgPath()
	for _, args := range [][]string{{}, {"-tags", "failpoint"}} {
		list := exec.CommandContext(t.Context(), "go", append(append([]string{"list", "-deps"}, args...), "github.com/vendstream/vendstream/cmd/...")...)
		out, err := list.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if has := slices.Contains(strings.Fields(string(out)), self); has != (len(args) > 0) {
			t.Errorf("go list -deps %v: it is linked: %t", args, has)
		}
	}
}
