// Command vendstream runs the daemons that turn purchase requests on JetStream
// into results, and gives operators the command line that goes with them.
package main

import (
	"context"
	"os"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

func main() {
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
