package broker_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/vendstream/vendstream/internal/broker"
)

type notice struct {
	connected bool
	err       error
}

func TestConnectionLostAndRegained(t *testing.T) {
	r := newRig(t)
	notices := make(chan notice, 100)
	nc, err := broker.Connect(broker.ConnectConfig{
		URL: r.server.URL(), Name: "test", Notify: func(connected bool, err error) { notices <- notice{connected, err} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r.server.Stop()
	if n := receive(t, "the loss", notices); n.connected {
		t.Fatalf("%+v", n)
	}
	if err := nc.Publish("x", nil); err == nil {
		t.Error("a publish waits in a buffer while the server is away")
	}
	r.server.Start()
	if n := receive(t, "the return", notices); !n.connected || n.err != nil {
		t.Fatalf("%+v", n)
	}
	if err := nc.Publish("x", nil); err != nil {
		t.Error(err)
	}
}

func TestNobodyIsNotified(t *testing.T) {
	r := newRig(t)
	nc, err := broker.Connect(broker.ConnectConfig{URL: r.server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r.server.Stop()
	r.server.Start()
	eventually(t, "the return", nc.IsConnected)
}

// withPassword is a server that wants one, on a port.
func withPassword(t *testing.T, port int, password string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, Username: "u", Password: password, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not get ready")
	}
	return s
}

// A password that is refused over and over does not end the connection for
// good, and is not told as a connection that works.
func TestRefusedAgainAndAgain(t *testing.T) {
	s := withPassword(t, server.RANDOM_PORT, "first")
	port := s.Addr().(*net.TCPAddr).Port
	notices := make(chan notice, 100)
	nc, err := broker.Connect(broker.ConnectConfig{
		URL:    "nats://u:first@" + s.Addr().String(),
		Notify: func(connected bool, err error) { notices <- notice{connected, err} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stop := func() { s.Shutdown(); s.WaitForShutdown() }
	stop()
	s = withPassword(t, port, "second")
	for refused := 0; refused < 3; {
		n := receive(t, "a refusal", notices)
		if n.connected || n.err != nil && strings.Contains(n.err.Error(), "first") {
			t.Fatalf("%+v", n)
		}
		if n.err != nil && strings.Contains(n.err.Error(), "uthorization") {
			refused++
		}
	}
	stop()
	s = withPassword(t, port, "first")
	defer stop()
	eventually(t, "the return", nc.IsConnected)
}

func TestConnectErrorsShowNoSecret(t *testing.T) {
	for _, address := range []string{
		"nats://u:hunter2@127.0.0.1:1",
		"u:hunter2@127.0.0.1:1",
		"hunter2@127.0.0.1:1",
		"nats://hunter2@127.0.0.1:1",
		"nats://u:x@127.0.0.1:1,nats://u:hunter2@127.0.0.1:2",
		"nats://127.0.0.1:1, u:hunter2@127.0.0.1:2",
		"nats://u:hunter2%zz@127.0.0.1:1",
		"nats://u:hunter2 @127.0.0.1:1",
		"nats://u:hun#hunter2@127.0.0.1:1",
		"nats://u:hun?hunter2@127.0.0.1:1",
		"nats://u:1/hunter2@127.0.0.1:1",
		"nats://127.0.0.1:1/hunter2?password=hunter2#hunter2",
		"://hunter2",
	} {
		_, err := broker.Connect(broker.ConnectConfig{URL: address})
		if !errors.Is(err, broker.ErrConnect) {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret shows: %v", err)
		}
	}
	_, err := broker.Connect(broker.ConnectConfig{URL: "nats://u:hunter2@127.0.0.1:1,tls://127.0.0.1:2"})
	if err == nil || !strings.Contains(err.Error(), "nats://***@127.0.0.1:1,tls://127.0.0.1:2") {
		t.Errorf("it does not say where: %v", err)
	}
}

func TestCredentialsFile(t *testing.T) {
	r := newRig(t)
	missing := filepath.Join(t.TempDir(), "missing.creds")
	if _, err := broker.Connect(broker.ConnectConfig{URL: r.server.URL(), CredentialsFile: missing}); !errors.Is(err, broker.ErrConnect) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
