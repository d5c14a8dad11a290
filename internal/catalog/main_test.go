package catalog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/vendor"
)

func TestMain(m *testing.M) {
	logging.Disable() // a test takes Redis away, and go-redis tells of every failed dial
	goleak.VerifyTestMain(m)
}

var errVendor = errors.New("scripted failure")

// shop is a vendor whose catalog a test changes as it goes.
type shop struct {
	mu         sync.Mutex
	products   []vendor.Product
	categories []vendor.Category
	fields     map[string][]vendor.Field // by the id of the category
	takes      time.Duration             // of the list of products
	err        error                     // of the list of products
	errs       map[string]error          // of "categories", and of fields by id
	fetches    int                       // lists of products that were asked for
	others     int                       // other calls
}

var (
	airtime = vendor.Product{Code: "AIR-VOD-001", Min: "2.0000", Max: "1000.0000"}
	bundle  = vendor.Product{Code: "DAT-VOD-001", Min: "85.0000", Max: "85.0000", Fixed: true}
	power   = vendor.Product{Code: "ELE-FLS-001", Min: "10", Max: "5e3"}
	legacy  = vendor.Product{Code: "ATP-100", Min: "5", Max: "500"}
)

func newShop() *shop {
	return &shop{
		products:   []vendor.Product{airtime, bundle, power, legacy},
		categories: []vendor.Category{{ID: "1", Name: "Airtime"}, {ID: "2", Name: "Data"}, {ID: "4", Name: "Electricity"}},
		fields: map[string][]vendor.Field{
			"1": {{Name: "mobileNumber", Type: "phone", Required: true}, {Name: "note"}},
			"4": {{Name: "meterNumber", Required: true}, {Name: "municipality", Required: true}},
		},
		errs: map[string]error{},
	}
}

func (s *shop) Products(ctx context.Context) ([]vendor.Product, error) {
	s.mu.Lock()
	s.fetches++
	takes := s.takes
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.products, s.err
}

func (s *shop) Categories(context.Context) ([]vendor.Category, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others++
	return s.categories, s.errs["categories"]
}

func (s *shop) CategoryFields(_ context.Context, id string) ([]vendor.Field, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others++
	return s.fields[id], s.errs[id]
}

func (s *shop) set(change func(*shop)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shop) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func (s *shop) expect(t *testing.T, fetches int) {
	t.Helper()
	if got := s.count(); got != fetches {
		t.Errorf("%d fetches, want %d", got, fetches)
	}
}

// faults collects what is reported.
type faults struct {
	mu   sync.Mutex
	errs []error
}

func (f *faults) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.errs)
}

func (f *faults) expect(t *testing.T, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) != n {
		t.Errorf("%d reports, want %d: %v", len(f.errs), n, f.errs)
	}
}

// start runs a catalog until the test ends, or stop is called.
func start(t *testing.T, c *Catalog) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// request is a request of a product, with an amount as it is written in JSON and
// more members.
func request(t testing.TB, product, amount, more string) *purchase.Request {
	t.Helper()
	r, err := purchase.Parse([]byte(`{"merchantReference":"r-1","paymentMethod":"cash","channelId":"web","productCode":"`+
		product+`","amount":`+amount+more+`}`), purchase.Account{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const phone = `,"mobileNumber":"+27821234567"`

// good and doomed are requests with nothing wrong, and of a product that is not there.
func good(t testing.TB) *purchase.Request   { return request(t, "AIR-VOD-001", "20", phone) }
func doomed(t testing.TB) *purchase.Request { return request(t, "AIR-NEW-001", "20", phone) }

// expectCode checks a refusal; "" is none.
func expectCode(t *testing.T, got *purchase.Refusal, code string) {
	t.Helper()
	switch {
	case got == nil && code == "":
	case got == nil:
		t.Errorf("not refused, want %s", code)
	case got.Code != code:
		t.Errorf("refused: %+v, want %q", got, code)
	}
}
