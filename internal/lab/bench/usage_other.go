//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// samplePeriod is the time between two readings of what the processes have used.
// Each of them starts ps.
const samplePeriod = 250 * time.Millisecond

var errPS = errors.New("bench: ps does not say what was expected")

// cpuOf is the processor time that a process has used, all threads, user and
// system.
func cpuOf(pid int) (time.Duration, error) {
	text, err := exec.Command("ps", "-o", "time=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("bench: ps: %w", err)
	}
	var seconds float64
	for _, part := range strings.Split(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ":"), ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, errPS
		}
		seconds = seconds*60 + n
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// peakOf is known only at the end.
func peakOf(int) (int64, error) { return 0, nil }

// peakAtExit is the most memory in bytes that an ended process has had; macOS
// counts it in bytes.
func peakAtExit(s *os.ProcessState) int64 {
	if usage, ok := s.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss
	}
	return 0
}

// memoryOf is the memory in bytes that a process has now.
func memoryOf(pid int) (int64, error) {
	text, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("bench: ps: %w", err)
	}
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, errPS
	}
	return kilobytes << 10, nil
}

// filesOf is not known here.
func filesOf(int) (int, error) { return 0, nil }

// freeDisk is not known here.
func freeDisk(string) (int64, bool) { return 0, false }
