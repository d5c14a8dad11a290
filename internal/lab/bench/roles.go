package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsWait is how long nats-server may take to start.
const natsWait = 30 * time.Second

// address is what a process says on standard output when it can be used.
type address struct {
	URL string `json:"url"`
}

func announce(out io.Writer, url string) error {
	line, err := json.Marshal(address{url})
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", line)
	}
	if err != nil {
		return fmt.Errorf("bench: tell the address: %w", err)
	}
	return nil
}

// untilOrphaned is ctx, and ends also when the parent, which holds the other end
// of standard input, is gone.
func untilOrphaned(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, nobody is there any more
		cancel()
	}()
	return ctx, cancel
}

// RunNATS runs a nats-server with JetStream in dir until ctx or its parent ends.
func RunNATS(ctx context.Context, dir string, out io.Writer) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	srv, err := server.NewServer(&server.Options{
		ServerName: "bench",
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT,
		JetStream:  true,
		StoreDir:   dir,
		NoLog:      true,
		NoSigs:     true,
	})
	if err != nil {
		return fmt.Errorf("bench: make the nats-server: %w", err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(natsWait) {
		return errors.New("bench: the nats-server did not get ready")
	}
	if err := announce(out, srv.ClientURL()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// RunVendor runs the lean vendor until ctx or its parent ends.
func RunVendor(ctx context.Context, latency time.Duration, out io.Writer) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench: the vendor: %w", err)
	}
	if err := announce(out, "http://"+listener.Addr().String()); err != nil {
		_ = listener.Close()
		return err
	}
	return (&leanVendor{latency: latency}).serve(ctx, listener)
}
