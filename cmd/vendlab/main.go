// Command vendlab is for trying vendstream out: the whole pipeline in one process
// with embedded servers and a simulated vendor. It is not for production.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/vendstream/vendstream/internal/lifecycle"
)

func main() {
	// net/http writes what a server sends unasked on an idle connection to the
	// standard logger, and that could hold a receipt.
	log.SetOutput(io.Discard)
	ctx, stop := lifecycle.Signals(context.Background(), nil)
	err := run(ctx, os.Args[1:], env{Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(conclude(os.Stderr, err))
}
