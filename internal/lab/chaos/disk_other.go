//go:build !linux

package chaos

import "errors"

var errNoMount = errors.New("a small disk can be mounted on Linux only")

func mountDisk(string) error   { return errNoMount }
func unmountDisk(string) error { return errNoMount }
func isFull(error) bool        { return false }
