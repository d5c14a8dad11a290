package chaos

import "syscall"

// dieWithParent has the kernel end a process whose driver was killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
