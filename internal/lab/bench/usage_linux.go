package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// samplePeriod is the time between two readings of what the processes have used.
const samplePeriod = 20 * time.Millisecond

// tick is what /proc counts processor time in: a hundredth of a second, on every
// architecture that Go knows.
const tick = 10 * time.Millisecond

var errProc = errors.New("bench: /proc does not say what was expected")

// cpuOf is the processor time that a process has used, all threads, user and
// system (proc(5), fields 14 and 15 of stat).
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	// The name of the program, in parentheses, may hold anything.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, errProc
	}
	var used time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, errProc
		}
		used += time.Duration(ticks) * tick
	}
	return used, nil
}

// peakOf is the most memory in bytes that a running process has had. What
// wait4 says of one that has ended counts its parent's memory at the fork too.
func peakOf(pid int) (int64, error) { return statusOf(pid, "VmHWM") }

// statusOf is a figure of /proc/PID/status that is given in kB, in bytes.
func statusOf(pid int, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	_, rest, found := bytes.Cut(text, []byte("\n"+name+":"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kilobytes, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(line, []byte("kB")))), 10, 64)
	if !found || err != nil {
		return 0, errProc
	}
	return kilobytes << 10, nil
}

// peakAtExit is not needed where /proc tells it before.
func peakAtExit(*os.ProcessState) int64 { return 0 }

// memoryOf is the memory in bytes that a process has now (VmRSS).
func memoryOf(pid int) (int64, error) { return statusOf(pid, "VmRSS") }

// filesOf is how many files and connections a process has open.
func filesOf(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return len(entries), nil
}

// freeDisk is the room in bytes where dir is; false where it is not known.
func freeDisk(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * s.Bsize, true
}
