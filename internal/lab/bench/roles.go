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

// recoverWait is how long a server may take that has streams to read first.
const recoverWait = 10 * time.Minute

// natsVersion is the server's that is measured.
const natsVersion = server.VERSION

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

// NATSOptions say what server RunNATS runs: by a configuration file, or a single
// one that keeps its streams in Dir.
type NATSOptions struct{ Config, Dir string }

func (o NATSOptions) server() (*server.Options, error) {
	if o.Config == "" {
		return &server.Options{ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: o.Dir, NoLog: true, NoSigs: true}, nil
	}
	options, err := server.ProcessConfigFile(o.Config)
	if err != nil {
		return nil, fmt.Errorf("bench: nats-server: %w", err)
	}
	options.NoLog, options.NoSigs = true, true
	return options, nil
}

// RunNATS runs a nats-server with JetStream until ctx or its parent ends.
func RunNATS(ctx context.Context, o NATSOptions, out io.Writer) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	options, err := o.server()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("bench: make the nats-server: %w", err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(recoverWait) {
		return errors.New("bench: the nats-server did not get ready")
	}
	if err := announce(out, srv.ClientURL()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// VendorOptions say what the lean vendor is like.
type VendorOptions struct {
	Latency time.Duration // of a purchase, or a question about one
	// Pending is how many purchases are open from the start, to be asked about.
	// The others are about them.
	Pending int
	Every   time.Duration // from one poll of each to the next
	Base    time.Time     // the first is due then, the last a period later
}

// RunVendor runs the lean vendor until ctx or its parent ends.
func RunVendor(ctx context.Context, o VendorOptions, out io.Writer) error {
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
	v := &leanVendor{latency: o.Latency}
	if o.Pending > 0 {
		v.book = newPollBook(spreadOut{o.Pending, o.Every, o.Base})
	}
	return v.serve(ctx, listener)
}
