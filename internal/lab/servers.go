package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/vendstream/vendstream/internal/simulator"
)

// natsWait is how long the embedded nats-server may take to start. It reads all
// that is stored.
const natsWait = 30 * time.Second

// Ports are those of the servers, on loopback. 0 is any free port.
type Ports struct{ NATS, Redis, Vendor, HTTP int }

// Servers are the embedded ones. They end with Close.
type Servers struct {
	NATSURL   string
	RedisURL  string
	Vendor    *VendorServer
	Simulator *simulator.Simulator

	nats  *server.Server
	redis *miniredis.Miniredis
}

// StartServers starts all three. dir is where nats-server keeps its streams.
// The error names the port that is taken, and its flag.
func StartServers(dir string, ports Ports, vendor simulator.Config) (_ *Servers, err error) {
	s := &Servers{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.startNATS(dir, ports.NATS); err != nil {
		return nil, err
	}
	if err := s.startRedis(ports.Redis); err != nil {
		return nil, err
	}
	if s.Simulator, err = simulator.New(vendor); err != nil {
		return nil, err
	}
	if s.Vendor, err = ServeVendor(loopback(ports.Vendor), s.Simulator); err != nil {
		return nil, portError(err, ports.Vendor, "the simulated vendor", "--vendor-port")
	}
	return s, nil
}

// Close ends the servers. What nats-server acknowledged stays on disk.
func (s *Servers) Close() {
	if s.Vendor != nil {
		s.Vendor.Close()
	} else if s.Simulator != nil {
		s.Simulator.Close()
	}
	if s.redis != nil {
		s.redis.Close()
	}
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
}

func (s *Servers) startNATS(dir string, port int) error {
	if port == 0 {
		port = server.RANDOM_PORT
	} else if err := free(port); err != nil {
		// nats-server itself would only log this and never get ready.
		return portError(err, port, "nats-server", "--nats-port")
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "vendlab",
		Host:       "127.0.0.1",
		Port:       port,
		JetStream:  true,
		StoreDir:   dir,
		NoLog:      true,
		NoSigs:     true,
	})
	if err != nil {
		return fmt.Errorf("lab: make the nats-server: %w", err)
	}
	s.nats = srv
	srv.Start()
	if !srv.ReadyForConnections(natsWait) {
		return fmt.Errorf("lab: the nats-server did not get ready within %s", natsWait)
	}
	s.NATSURL = srv.ClientURL()
	return nil
}

func (s *Servers) startRedis(port int) error {
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(loopback(port)); err != nil {
		return portError(err, port, "Redis", "--redis-port")
	}
	// Without it no key would ever expire: time stands still for a miniredis as
	// long as nobody moves it.
	redis.ClockTTL(true)
	s.redis = redis
	s.RedisURL = "redis://" + redis.Addr() + "/0"
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// free reports why a port cannot be listened on.
func free(port int) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", loopback(port))
	if err != nil {
		return err
	}
	return listener.Close()
}

// ErrPort is wrapped where a port cannot be listened on.
var ErrPort = errors.New("the port cannot be used")

func portError(err error, port int, what, flag string) error {
	return fmt.Errorf("%s cannot listen on port %d of loopback; is another one running? %s changes it: %w: %w",
		what, port, flag, ErrPort, err)
}
