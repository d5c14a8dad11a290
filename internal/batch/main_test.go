package batch

import (
	"bufio"
	"bytes"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The tests look at what is written, and no power fails in them.
	fsync = func(*os.File) error { return nil }
	goleak.VerifyTestMain(m)
}

func newBuffered(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }
