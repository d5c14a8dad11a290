package lifecycle

import (
	"errors"
	"fmt"
)

// The exit codes of the programs (contract, "Commands").
const (
	Done            = 0
	Failed          = 1
	Usage           = 2   // wrong usage or configuration
	FailedPurchases = 3   // finished, and some purchases failed
	OutcomeUnknown  = 4   // waiting ended before the outcome was known
	NotConnected    = 5   // NATS, Redis or the vendor could not be reached
	Interrupted     = 130 // a signal ended it before it was done
)

// Exit is an error that says which code the program ends with. Err may be nil:
// then there is nothing to print but what the program printed already.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap is the error behind the code, or nil.
func (e *Exit) Unwrap() error { return e.Err }

// Code is the exit code for what a program's run returned: Done for nil, that of
// the first Exit in the error, Interrupted for ErrStopped, else Failed. A daemon
// for which a signal is the proper end returns nil.
func Code(err error) int {
	if err == nil {
		return Done
	}
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		return exit.Code
	}
	if errors.Is(err, ErrStopped) {
		return Interrupted
	}
	return Failed
}
