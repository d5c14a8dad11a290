package lab

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vendstream/vendstream/internal/simulator"
)

const (
	readHeaderTimeout = 10 * time.Second
	// vendorGrace is how long calls to the vendor may take to end at a stop.
	vendorGrace = 3 * time.Second
)

// VendorServer is a simulated vendor over HTTP.
type VendorServer struct {
	addr      net.Addr
	simulator *simulator.Simulator
	http      *http.Server
	serving   sync.WaitGroup
	close     func()
}

// ServeVendor serves a simulator on addr, which is host:port, until Close.
func ServeVendor(addr string, s *simulator.Simulator) (*VendorServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	v := &VendorServer{
		addr:      listener.Addr(),
		simulator: s,
		http: &http.Server{
			Handler:           s,
			ReadHeaderTimeout: readHeaderTimeout,
			// It complains of callers that break off, which is what faults are for.
			ErrorLog: log.New(io.Discard, "", 0),
		},
	}
	v.close = sync.OnceFunc(v.shutdown)
	v.serving.Go(func() {
		// Serve always ends with an error; only Close makes it end.
		_ = v.http.Serve(listener)
	})
	return v, nil
}

// URL is the address that paths are put behind.
func (v *VendorServer) URL() string { return "http://" + v.Addr() }

// Addr is where it listens.
func (v *VendorServer) Addr() string { return v.addr.String() }

// Loopback reports whether only this machine can reach it.
func (v *VendorServer) Loopback() bool {
	tcp, ok := v.addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Close ends the calls that hang, waits a little for the others, and stops. It
// may be called more than once.
func (v *VendorServer) Close() { v.close() }

func (v *VendorServer) shutdown() {
	v.simulator.Close()
	ctx, cancel := context.WithTimeout(context.Background(), vendorGrace)
	defer cancel()
	if err := v.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = v.http.Close() // what is left is cut off; nobody waits for it
	}
	v.serving.Wait()
}
