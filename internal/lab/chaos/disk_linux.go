package chaos

import (
	"errors"
	"fmt"
	"syscall"
)

// mountDisk mounts a small disk in memory. It takes root; the error says why it
// cannot be.
func mountDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	return nil
}

func unmountDisk(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
