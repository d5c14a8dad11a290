package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Endpoint names one of the vendor's calls, in faults and in statistics.
type Endpoint string

// The vendor's calls.
const (
	EndpointToken        Endpoint = "token"
	EndpointRefresh      Endpoint = "refresh"
	EndpointPurchase     Endpoint = "purchase"
	EndpointTransactions Endpoint = "transactions"
	EndpointProducts     Endpoint = "products"
	EndpointCategories   Endpoint = "categories"
	EndpointFields       Endpoint = "fields"
	EndpointLookup       Endpoint = "lookup"
	// EndpointAny matches all of them, in faults.
	EndpointAny Endpoint = "any"
	// endpointOther counts calls of paths that the vendor does not have.
	endpointOther Endpoint = "other"
)

// endpoints gives each call its place in the counters.
var endpoints = [...]Endpoint{
	EndpointToken, EndpointRefresh, EndpointPurchase, EndpointTransactions,
	EndpointProducts, EndpointCategories, EndpointFields, EndpointLookup, endpointOther,
}

// Match says which calls a fault is for. Everything that is set must agree. A
// fault strikes only calls that got past token, role and limit, so that no step
// is used up by a call that the vendor would have refused anyway.
type Match struct {
	// Endpoint; default purchase.
	Endpoint Endpoint `json:"endpoint,omitempty" yaml:"endpoint"`
	// Account is a username.
	Account string `json:"account,omitempty" yaml:"account"`
	// Reference is the whole merchantReference, Prefix its beginning. Of a call
	// to /transactions they stand for the purchase that it asks after.
	Reference string `json:"reference,omitempty" yaml:"reference"`
	Prefix    string `json:"prefix,omitempty" yaml:"prefix"`
	// Product is a product code.
	Product string `json:"product,omitempty" yaml:"product"`
	// Call counts the calls that agree in everything else: the fault begins with
	// this one, 1 being the first.
	Call int `json:"call,omitempty" yaml:"call"`
}

// Fault is a sequence of steps for the calls that match: the first call gets the
// first step, and so on. Of several faults that match, the one ordered first
// strikes.
type Fault struct {
	Match Match `json:"match" yaml:"match"`
	// Use is the name of a fault of the reference convention, such as
	// "reset-after" or "fail-1203"; it stands for Steps.
	Use   string `json:"use,omitempty" yaml:"use"`
	Steps []Step `json:"steps,omitempty" yaml:"steps"`
	// Times is how many calls are struck, the last step repeating. 0: as many as
	// there are steps. -1: for ever.
	Times int `json:"times,omitempty" yaml:"times"`
	// EachReference counts calls and steps for each reference by itself.
	EachReference bool `json:"each_reference,omitempty" yaml:"each_reference"`
}

// order is a fault with its progress.
type order struct {
	Fault
	calls map[string]int // matching calls so far; one key "" unless EachReference
}

func newOrder(f Fault, openFor Duration) (*order, error) {
	var errs []error
	if f.Use != "" {
		if len(f.Steps) > 0 {
			errs = append(errs, errors.New("use and steps exclude each other"))
		}
		named, ok := parseNamed(f.Use, openFor)
		if !ok {
			errs = append(errs, fmt.Errorf("use: no fault is named %q", f.Use))
		}
		f.Steps = named.steps
		fill(&f.Times, named.times)
		fill(&f.Match.Endpoint, named.endpoint)
	}
	fill(&f.Match.Endpoint, EndpointPurchase)
	if !knownEndpoint(f.Match.Endpoint) {
		errs = append(errs, fmt.Errorf("match: %q is not an endpoint", f.Match.Endpoint))
	}
	if len(f.Steps) == 0 && f.Use == "" {
		errs = append(errs, errors.New("steps: at least one is required"))
	}
	if f.Times < -1 || f.Match.Call < 0 {
		errs = append(errs, errors.New("times and call must not be negative, except times -1"))
	}
	for i := range f.Steps {
		if err := f.Steps[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("steps[%d]: %w", i, err))
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("simulator: fault: %w", errors.Join(errs...))
	}
	if f.Times == 0 {
		f.Times = len(f.Steps)
	}
	f.Match.Call = max(f.Match.Call, 1)
	f.Steps = slices.Clone(f.Steps)
	return &order{Fault: f, calls: make(map[string]int)}, nil
}

func knownEndpoint(e Endpoint) bool {
	if e == EndpointAny {
		return true
	}
	for _, known := range endpoints[:len(endpoints)-1] {
		if e == known {
			return true
		}
	}
	return false
}

// target is what is known of a call when its fault is looked for.
type target struct {
	endpoint  Endpoint
	account   string
	reference string
	product   string
}

func (m *Match) matches(t target) bool {
	return (m.Endpoint == EndpointAny || m.Endpoint == t.endpoint) &&
		(m.Account == "" || m.Account == t.account) &&
		(m.Reference == "" || m.Reference == t.reference) &&
		(m.Prefix == "" || strings.HasPrefix(t.reference, m.Prefix)) &&
		(m.Product == "" || m.Product == t.product)
}

// next takes the step for a matching call, nil where it has none for it. done
// reports that the fault is used up.
func (o *order) next(t target) (step *Step, done bool) {
	key := ""
	if o.EachReference {
		key = t.reference
	}
	o.calls[key]++
	at := o.calls[key] - o.Match.Call
	if at < 0 || (o.Times >= 0 && at >= o.Times) {
		return nil, false
	}
	done = !o.EachReference && o.Times >= 0 && at == o.Times-1
	return &o.Steps[min(at, len(o.Steps)-1)], done
}

// faults are the faults that are ordered. The count is read without the lock,
// so that a simulator without faults pays nothing for them.
type faults struct {
	count atomic.Int32

	mu     sync.Mutex
	orders []*order
}

func (f *faults) add(orders []*order) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, orders...)
	f.count.Store(int32(len(f.orders)))
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = nil
	f.count.Store(0)
}

func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	listed := make([]Fault, 0, len(f.orders))
	for _, o := range f.orders {
		listed = append(listed, o.Fault)
	}
	return listed
}

// pick takes the step for a call, or nil. A fault whose turn for this call is
// over lets the next one that matches have it.
func (f *faults) pick(t target) *Step {
	if f.count.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.orders {
		if !o.Match.matches(t) {
			continue
		}
		step, done := o.next(t)
		if done {
			f.orders = append(f.orders[:i:i], f.orders[i+1:]...)
			f.count.Store(int32(len(f.orders)))
		}
		if step != nil {
			return step
		}
	}
	return nil
}

// Order adds faults behind those that are ordered already. On an error none of
// them is added.
func (s *Simulator) Order(ordered ...Fault) error {
	orders := make([]*order, 0, len(ordered))
	for _, f := range ordered {
		o, err := newOrder(f, s.cfg.OpenFor)
		if err != nil {
			return err
		}
		orders = append(orders, o)
	}
	s.faults.add(orders)
	return nil
}

// ClearFaults removes every fault that is ordered, those of the configuration too.
func (s *Simulator) ClearFaults() { s.faults.clear() }

// Faults lists the faults that are ordered and not used up.
func (s *Simulator) Faults() []Fault { return s.faults.list() }
