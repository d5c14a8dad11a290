// Command vendstream runs the daemons that turn purchase requests on JetStream
// into results, and gives operators the command line that goes with them.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

func main() {
	// net/http writes what a server sends unasked, which could be a receipt, to the
	// standard logger. Nothing else here uses it.
	log.SetOutput(io.Discard)
	ctx, stop := lifecycle.Signals(context.Background(), nil)
	err := run(ctx, os.Args[1:], env{
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
	})
	stop()
	os.Exit(conclude(os.Stderr, err))
}
