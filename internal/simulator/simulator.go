package simulator

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Simulator is the simulated vendor. Make one with New; it is safe for
// concurrent use.
type Simulator struct {
	cfg       Config
	accounts  map[string]*account // by username; never changes
	catalog   *catalog
	sessions  *sessions
	logins    *addressLimiter
	refreshes *addressLimiter
	faults    faults
	counters  counters

	transactionNumber atomic.Int64 // of the last transaction
	sequence          atomic.Int64 // orders arrivals and answers, for the ledger

	// life ends with Close. It bounds the calls that wait, which have contexts of
	// their own; that is why it is kept here.
	life context.Context
	end  context.CancelFunc
}

// New makes a simulated vendor. The error names every key that is wrong.
func New(cfg Config) (*Simulator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Simulator{
		cfg:       cfg,
		accounts:  make(map[string]*account, len(cfg.Accounts)),
		catalog:   newCatalog(cfg.Products),
		sessions:  newSessions(),
		logins:    newAddressLimiter(cfg.LoginLimit),
		refreshes: newAddressLimiter(cfg.RefreshLimit),
	}
	s.life, s.end = context.WithCancel(context.Background())
	for _, a := range cfg.Accounts {
		s.accounts[a.Username] = newAccount(a, cfg)
	}
	if err := s.Order(cfg.Faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the calls that hang or wait. Later calls are answered as before,
// except that none waits any more. It may be called more than once.
func (s *Simulator) Close() { s.end() }

// BasePath stands before every path of the vendor's, without a slash at its end.
func (s *Simulator) BasePath() string { return s.cfg.BasePath }

// Reset forgets purchases, counts, used limits and ordered faults, and orders
// the faults of the configuration anew. Tokens stay valid.
func (s *Simulator) Reset() error {
	for _, a := range s.accounts {
		a.reset()
	}
	s.logins.reset()
	s.refreshes.reset()
	s.counters.reset()
	s.faults.clear()
	return s.Order(s.cfg.Faults...)
}

// maxBody bounds what is read of a request.
const maxBody = 1 << 20

// call is one request to the vendor on its way through a handler.
type call struct {
	r        *http.Request
	ctx      context.Context
	endpoint Endpoint
	now      time.Time // of arrival
	arrived  int64     // place in the simulator's sequence
	path     string    // below the base path
	body     []byte
	session  *session // nil before authentication
	step     *Step    // the fault that strikes, nil for none
}

// ServeHTTP answers as the vendor does, and below /_simulator/ to its owner.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isControl(r.URL.Path) {
		s.serveControl(w, r)
		return
	}
	s.answer(r).send(w)
}

// answer is what the vendor answers, for every way that the request may come.
func (s *Simulator) answer(r *http.Request) reply {
	c := &call{r: r, ctx: r.Context(), now: s.cfg.Now(), arrived: s.sequence.Add(1)}
	handle := s.route(c)
	rep := s.read(c)
	if rep == nil {
		answered := handle(c)
		rep = &answered
	}
	if r.Header.Get("Idempotency-Key") != "" {
		s.counters.idempotencyKeys.Add(1)
	}
	s.counters.count(c.endpoint, rep)
	return *rep
}

// read takes the body in, and returns an answer only where that fails.
func (s *Simulator) read(c *call) *reply {
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return nil
	}
	var body []byte
	var err error
	if length := c.r.ContentLength; length > 0 && length <= maxBody {
		body = make([]byte, length)
		_, err = io.ReadFull(c.r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	}
	switch {
	case err != nil:
		return &reply{wire: wireReset}
	case len(body) > maxBody:
		rep := failure(Flat, http.StatusRequestEntityTooLarge, codeInvalidFormat, "Request too large")
		return &rep
	}
	c.body = body
	return nil
}

// route finds the handler of a path (pagamio-api.md, all headings with a path).
func (s *Simulator) route(c *call) func(*call) reply {
	c.endpoint = endpointOther
	path, found := strings.CutPrefix(c.r.URL.Path, s.cfg.BasePath)
	if !found {
		return noSuchPath
	}
	c.path = path
	method := http.MethodPost
	var handle func(*call) reply
	switch path {
	case "/auth/token":
		c.endpoint, handle = EndpointToken, s.login
	case "/auth/token/refresh":
		c.endpoint, handle = EndpointRefresh, s.refresh
	case "/purchase":
		c.endpoint, handle = EndpointPurchase, s.purchase
	case "/transactions":
		c.endpoint, handle = EndpointTransactions, s.transactions
	case "/lookup/electricity", "/lookup/bill-payment", "/lookup/money-transfer":
		c.endpoint, handle = EndpointLookup, s.lookup
	case "/products/categories":
		// "Catalog": one older page says POST.
		if method = http.MethodGet; c.r.Method == http.MethodPost {
			method = http.MethodPost
		}
		c.endpoint, handle = EndpointCategories, s.categories
	default:
		method = http.MethodGet
		switch {
		case strings.HasPrefix(path, "/products/categories/") && strings.HasSuffix(path, "/fields"):
			c.endpoint, handle = EndpointFields, s.categoryFields
		case (strings.HasPrefix(path, "/merchants/") || strings.HasPrefix(path, "/sub-merchants/")) &&
			strings.HasSuffix(path, "/products"):
			c.endpoint, handle = EndpointProducts, s.products
		default:
			return noSuchPath
		}
	}
	if c.r.Method != method {
		return wrongMethod
	}
	return handle
}

func noSuchPath(*call) reply  { return plainError(http.StatusNotFound, "Not Found", "No such path") }
func wrongMethod(*call) reply { return statusReply(http.StatusMethodNotAllowed, "") }

// struck finds the fault for a call to any endpoint but /purchase, runs the
// ordinary handler unless the fault comes before it, and applies the fault.
func (s *Simulator) struck(c *call, t target, handle func(*call) reply) reply {
	t.endpoint = c.endpoint
	c.step = s.faults.pick(t)
	return s.strike(c, handle)
}

// strike runs a handler with the fault that was found for the call.
func (s *Simulator) strike(c *call, handle func(*call) reply) reply {
	step := c.step
	if step == nil {
		return handle(c)
	}
	if !s.pause(c, step) {
		return reply{wire: wireNone}
	}
	if step.stored() == StoredNone {
		return s.disturb(c, step, reply{})
	}
	return s.disturb(c, step, handle(c))
}

// pause lets the latency of a step pass; false means that the caller has gone.
func (s *Simulator) pause(c *call, step *Step) bool {
	if step.Latency <= 0 {
		return true
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	return s.cfg.Sleep(ctx, time.Duration(step.Latency)) == nil
}

// hang waits until the caller goes or the simulator is closed.
func (s *Simulator) hang(c *call) {
	select {
	case <-c.ctx.Done():
	case <-s.life.Done():
	}
}
