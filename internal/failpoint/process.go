//go:build unix

package failpoint

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// die ends the process as a crash does: nothing is run, flushed or closed.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal has struck
}

// stand stops every thread of the process: leases run out, connections are
// silent, and then it goes on as if nothing had been. Somebody else has to wake it.
func stand(d time.Duration) {
	self := os.Getpid()
	wake := exec.Command("sh", "-c", fmt.Sprintf("sleep %f; kill -CONT %d", d.Seconds(), self))
	if err := wake.Start(); err != nil {
		panic(err) // never to be woken: not the pause that was ordered
	}
	_ = syscall.Kill(self, syscall.SIGSTOP)
	_ = wake.Wait()
}
