package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// shutdownTimeout is how long answers under way may take once Run is stopped.
const shutdownTimeout = 5 * time.Second

// Server answers /healthz (200 while the process is alive), /readyz (200 when
// all checks pass, else 503; the JSON body names each) and /metrics.
type Server struct {
	listener net.Listener // nil: turned off
	http     *http.Server
	ready    readiness
	closed   chan struct{}
	close    func() error
}

// NewServer binds addr at once, so that an address in use is found at the start;
// answers are given from Run on. "" makes a server that listens nowhere. The
// program is ready while no check is given: give those of what it needs here, and
// add with AddCheck only what comes later.
func NewServer(addr string, reg *prometheus.Registry, checks []Check, logger zerolog.Logger) (*Server, error) {
	s := &Server{closed: make(chan struct{})}
	for _, check := range checks {
		s.AddCheck(check)
	}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		if s.http == nil {
			return nil
		}
		err := s.http.Close()
		// The server knows its listener only once it serves.
		if again := s.listener.Close(); !errors.Is(again, net.ErrClosed) {
			err = errors.Join(err, again)
		}
		return err
	})
	if addr == "" {
		return s, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("telemetry: cannot listen: %w", err)
	}
	complaints := log.New(logger, "", 0)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n") // whoever asked has gone
	})
	mux.Handle("GET /readyz", &s.ready)
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            complaints,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})))
	s.listener = listener
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second, // above the time that /metrics may take
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          complaints,
	}
	return s, nil
}

// AddCheck makes being ready depend on one more check. A check of the same name
// is replaced.
func (s *Server) AddCheck(check Check) { s.ready.add(check) }

// Addr is where the server listens, with the port that the system chose for :0;
// "" where it is turned off.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run answers until ctx ends, then lets answers under way finish for 5 s at most.
// It returns nil when stopped by ctx or Close. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.http == nil {
		select {
		case <-ctx.Done():
		case <-s.closed:
		}
		return nil
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return errors.Join(fmt.Errorf("telemetry: %w", err), s.Close())
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(limit)
	<-served
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a slow reader is cut off, which is no failure of this program
	}
	return errors.Join(err, s.Close())
}

// Close frees the address and cuts answers off. It may be called at any time and
// more than once.
func (s *Server) Close() error { return s.close() }
