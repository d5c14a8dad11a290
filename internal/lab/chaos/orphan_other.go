//go:build !linux

package chaos

import "syscall"

// dieWithParent is Linux's alone: elsewhere the processes of a driver that was
// killed have to be ended by hand.
func dieWithParent() *syscall.SysProcAttr { return nil }
