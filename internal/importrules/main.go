// Importrules checks who imports whom in this module against a table of rules,
// each with its reason, and fails where one is broken:
//
//	go run ./internal/importrules
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	g, err := load(ctx)
	if err != nil {
		return err
	}
	if found := g.check(rules); len(found) > 0 {
		return errors.Join(found...)
	}
	_, err = fmt.Fprintf(out, "%d import rules hold over %d packages\n", len(rules), len(g.own()))
	return err
}
