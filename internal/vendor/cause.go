package vendor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// publicCause turns an error of net/http into one that can be logged. A
// *url.Error shows the query, which may hold a phone number as the reference,
// and errors about a malformed answer quote it, which may hold a PIN. So only
// kinds of errors that are known to hold neither are kept; of any other its type
// is told.
func publicCause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	for _, plain := range []error{
		context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded,
		io.ErrUnexpectedEOF, io.EOF, net.ErrClosed, http.ErrSchemeMismatch,
	} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		number      syscall.Errno
		operation   *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &record):
		return record
	case errors.As(err, &alert):
		return alert
	case errors.As(err, &number):
		if errors.As(err, &operation) {
			return fmt.Errorf("%s: %w", operation.Op, number)
		}
		return number
	default:
		return fmt.Errorf("an error of type %T", err)
	}
}
