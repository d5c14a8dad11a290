//go:build !unix

package chaos

import (
	"errors"
	"os"
)

var errNoSignals = errors.New("chaos: this system cannot hold a process still")

func freeze(*os.Process) error      { return errNoSignals }
func thaw(*os.Process) error        { return errNoSignals }
func terminate(p *os.Process) error { return p.Kill() }
