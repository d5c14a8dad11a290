// Package servertest starts the real servers that tests talk to: a nats-server
// in the test's process and a redis-server beside it. A server that is missing
// fails the test.
package servertest

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const natsWait = 20 * time.Second

// NATSServer is a nats-server with JetStream on disk, on a free port.
type NATSServer struct {
	// MaxPayload is the server's max_payload in bytes from the next Start on; 0 is
	// its default of 1 MiB.
	MaxPayload int32

	tb     testing.TB
	dir    string
	port   int
	server *server.Server
	extend func(*server.Options) // nil: a server by itself
}

// NATS starts a server that ends with the test.
func NATS(tb testing.TB) *NATSServer {
	tb.Helper()
	s := &NATSServer{tb: tb, dir: tb.TempDir(), port: server.RANDOM_PORT}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// Start starts the server again, with the same port and files.
func (s *NATSServer) Start() {
	s.tb.Helper()
	options := &server.Options{
		Host:       "127.0.0.1",
		Port:       s.port,
		JetStream:  true,
		MaxPayload: s.MaxPayload,
		StoreDir:   s.dir,
		NoLog:      true,
		NoSigs:     true,
	}
	if s.extend != nil {
		s.extend(options)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		s.tb.Fatalf("servertest: make the nats-server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(natsWait) {
		s.tb.Fatal("servertest: the nats-server did not get ready")
	}
	s.port = srv.Addr().(*net.TCPAddr).Port
	s.server = srv
}

// Stop ends the server. What it acknowledged stays on disk.
func (s *NATSServer) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// URL is where the server listens.
func (s *NATSServer) URL() string {
	return "nats://" + (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.port}).String()
}

// Connect connects to the server until the end of the test.
func (s *NATSServer) Connect() (*nats.Conn, jetstream.JetStream) {
	s.tb.Helper()
	nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		s.tb.Fatalf("servertest: connect: %v", err)
	}
	s.tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.tb.Fatalf("servertest: %v", err)
	}
	return nc, js
}
