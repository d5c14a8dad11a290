package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/lab"
	"github.com/vendstream/vendstream/internal/simulator"
)

// The accounts. beta has a purchase limit, so that permits are lost with Redis too.
const (
	acme = "acme"
	beta = "beta"
	// nobody is not served.
	nobody = "nobody"
)

var served = []string{acme, beta}

// openFor is how long the vendor keeps a purchase open, where it does.
const openFor = 1200 * time.Millisecond

// Call is one purchase call that reached the vendor.
type Call struct {
	At   time.Time
	Key  lab.Key
	By   string // the process
	Open bool   // the vendor had the purchase open when it came
}

// vendorSide is the simulated vendor in the driver. Each process has a listener of
// its own there, so that it is known who called.
type vendorSide struct {
	simulator *simulator.Simulator
	servers   []*http.Server
	proxies   []*proxy
	serving   sync.WaitGroup

	mu    sync.Mutex
	calls []Call
}

func newVendorSide() (*vendorSide, error) {
	cfg := simulator.Config{
		OpenFor: simulator.Duration(openFor),
		Transactions: simulator.Transactions{
			BearReference: true, FilterByReference: true, Receipts: true,
		},
	}
	for _, name := range served {
		cfg.Accounts = append(cfg.Accounts, simulator.Account{Username: name, Password: name + "-secret"})
	}
	s, err := simulator.New(cfg)
	if err != nil {
		return nil, err
	}
	return &vendorSide{simulator: s}, nil
}

// listen makes the way of one process to the vendor.
func (v *vendorSide) listen(process string, seed uint64) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("chaos: listen for the vendor: %w", err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v.note(process, r)
			v.simulator.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // it complains of callers that break off
	}
	v.servers = append(v.servers, server)
	v.serving.Go(func() {
		_ = server.Serve(listener) // only close makes it end
	})
	p, err := newProxy(0, listener.Addr().String(), seed)
	if err != nil {
		return nil, err
	}
	v.proxies = append(v.proxies, p)
	return p, nil
}

// note writes a purchase call down before the vendor has it.
func (v *vendorSide) note(process string, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/purchase") {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	var named struct {
		Reference string `json:"merchantReference"`
	}
	if err != nil || json.Unmarshal(body, &named) != nil {
		return // the vendor could not read it either
	}
	call := Call{At: time.Now(), Key: keyOf(named.Reference), By: process}
	if entry, known := v.simulator.Entry(call.Key.Account, call.Key.Reference); known {
		call.Open = entry.Status.Open()
	}
	v.mu.Lock()
	v.calls = append(v.calls, call)
	v.mu.Unlock()
}

// failing gives the error that a body ended with.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil && !errors.Is(f.err, io.EOF) {
		return 0, f.err
	}
	return 0, io.EOF
}

// keyOf reads the account out of a reference: no two accounts share one here.
func keyOf(reference string) lab.Key {
	account, _, _ := strings.Cut(reference, "-")
	return lab.Key{Account: account, Reference: reference}
}

// sales are the vendor's ledger.
func (v *vendorSide) sales() []lab.Sale {
	var sales []lab.Sale
	for _, account := range served {
		for _, entry := range v.simulator.Ledger(account) {
			sales = append(sales, lab.Sale{Entry: entry, Receipt: v.simulator.Receipt(account, entry.Reference)})
		}
	}
	return sales
}

func (v *vendorSide) close() {
	v.simulator.Close()
	for _, p := range v.proxies {
		p.close()
	}
	for _, s := range v.servers {
		_ = s.Close() // whoever still calls is cut off
	}
	v.serving.Wait()
}
