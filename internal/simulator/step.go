package simulator

import (
	"errors"
	"fmt"
)

// Shape is one of the two forms in which the vendor's answers are documented
// (pagamio-api.md, "Authentication" and "Purchase").
type Shape string

const (
	// Flat: {"responseCode":"0","successful":true,…}; of a token
	// {"accessToken",…}, without a refresh token.
	Flat Shape = "flat"
	// Enveloped: {"success":true,"data":{"responseCode":0,…}}; of a token
	// {"successful":true,"data":{"token",…}}.
	Enveloped Shape = "enveloped"
)

func (s Shape) valid() bool { return s == Flat || s == Enveloped }

// State is where a transaction stands (pagamio-api.md, "Transactions").
type State string

// The states of the documented life cycle; only the last two are terminal.
const (
	Pending    State = "PENDING"
	Processing State = "PROCESSING"
	Completed  State = "COMPLETED"
	Failed     State = "FAILED"
)

// Open reports whether the state is not terminal.
func (s State) Open() bool { return s == Pending || s == Processing }

// Stored is what a step does with a purchase that is not there yet. One that is
// there already is never changed by a later call.
type Stored string

const (
	// StoredNone: the fault strikes before anything is stored.
	StoredNone Stored = "none"
	// StoredCompleted: it is vended.
	StoredCompleted Stored = "completed"
	// StoredFailed: it fails for good, with the step's Code.
	StoredFailed Stored = "failed"
	// StoredPending and StoredProcessing: it is open until For or Polls are over,
	// and then becomes Then.
	StoredPending    Stored = "pending"
	StoredProcessing Stored = "processing"
)

// Answer is what goes wrong on the wire. None of these counts as told in the
// ledger, except Empty with status 202.
type Answer string

const (
	// AnswerResult is the documented answer. The default.
	AnswerResult Answer = ""
	// AnswerReset resets the connection.
	AnswerReset Answer = "reset"
	// AnswerHang never answers: until the caller goes or the simulator is closed.
	AnswerHang Answer = "hang"
	// AnswerGarbage is a page of HTML, or Body where that is set.
	AnswerGarbage Answer = "garbage"
	// AnswerTruncated stops half-way through the body that was announced.
	AnswerTruncated Answer = "truncated"
	// AnswerEmpty has no body.
	AnswerEmpty Answer = "empty"
	// AnswerRedirect points to Location, with status 307 where none is set.
	AnswerRedirect Answer = "redirect"
	// AnswerOversized is the documented answer behind Size bytes of padding.
	AnswerOversized Answer = "oversized"
	// AnswerContradiction says successful and gives a failure code, 1203 where
	// none is set.
	AnswerContradiction Answer = "contradiction"
)

// ReceiptMode says where the receipt of a purchase is to be had.
type ReceiptMode string

const (
	// ReceiptDefault: in the answer to a purchase call, and on items of
	// /transactions where Transactions.Receipts is on.
	ReceiptDefault ReceiptMode = ""
	// ReceiptRepost: only in the answer to a purchase call.
	ReceiptRepost ReceiptMode = "repost"
	// ReceiptNone: nowhere.
	ReceiptNone ReceiptMode = "none"
)

// Step is what happens to one call. The zero Step is the ordinary course.
type Step struct {
	// Latency passes before anything else.
	Latency Duration `json:"latency,omitempty" yaml:"latency"`

	// Stored is what becomes of a purchase. Where it is empty: none with a status
	// of 400 and above, a reset, a hang, a redirect and the codes 1200 to 1202;
	// failed with the other terminal codes; else completed. On other endpoints
	// none means that the fault comes before the call has any effect.
	Stored Stored `json:"stored,omitempty" yaml:"stored"`
	// For is how long the purchase is open, or Polls how many polls find it open.
	// Neither: until End is called.
	For   Duration `json:"for,omitempty" yaml:"for"`
	Polls int      `json:"polls,omitempty" yaml:"polls"`
	// Then is what it becomes, COMPLETED by default, and ThenCode the code of a
	// failure, 999 by default.
	Then     State  `json:"then,omitempty" yaml:"then"`
	ThenCode string `json:"then_code,omitempty" yaml:"then_code"`
	// HiddenFor is how long, or HiddenPolls for how many polls, /transactions
	// does not show it.
	HiddenFor   Duration `json:"hidden_for,omitempty" yaml:"hidden_for"`
	HiddenPolls int      `json:"hidden_polls,omitempty" yaml:"hidden_polls"`
	// Receipt says where the receipt is to be had.
	Receipt ReceiptMode `json:"receipt,omitempty" yaml:"receipt"`
	// Forget makes the vendor forget the reference first, so that it vends again:
	// the broken idempotency that an auditor must be able to see.
	Forget bool `json:"forget,omitempty" yaml:"forget"`

	// Answer is what goes wrong on the wire.
	Answer Answer `json:"answer,omitempty" yaml:"answer"`
	// Status is the HTTP status; 400 and above without Code has the documented
	// body of that status.
	Status int `json:"status,omitempty" yaml:"status"`
	// Code answers with a failure of that code, and Message its text.
	Code    string `json:"code,omitempty" yaml:"code"`
	Message string `json:"message,omitempty" yaml:"message"`
	// Rejection adds rejectionCode and rejectionReason to a flat failure.
	Rejection bool `json:"rejection,omitempty" yaml:"rejection"`
	// Shape of the answer; default as configured.
	Shape Shape `json:"shape,omitempty" yaml:"shape"`
	// Body replaces the body of AnswerGarbage.
	Body string `json:"body,omitempty" yaml:"body"`
	// Size of AnswerOversized in bytes; default 16 MiB.
	Size int64 `json:"size,omitempty" yaml:"size"`
	// Location of AnswerRedirect; default /_simulator/redirected, which counts.
	Location string `json:"location,omitempty" yaml:"location"`
}

// stored is Stored with its default. The codes that leave the outcome open
// (1006, 1204, 1205) and codes outside the table hide a purchase that was vended.
func (s *Step) stored() Stored {
	if s.Stored != "" {
		return s.Stored
	}
	switch s.Answer {
	case AnswerReset, AnswerHang, AnswerRedirect:
		return StoredNone
	case AnswerResult:
	default:
		return StoredCompleted
	}
	if s.Code == "" || s.Code == codeSuccess {
		if s.Status >= 400 {
			return StoredNone
		}
		return StoredCompleted
	}
	switch classOf(s.Code) {
	case classTransient:
		return StoredNone
	case classTerminal:
		return StoredFailed
	default:
		return StoredCompleted
	}
}

const maxOversized = 1 << 30

func (s *Step) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch s.Stored {
	case "", StoredNone, StoredCompleted, StoredFailed, StoredPending, StoredProcessing:
	default:
		bad("stored: %q is unknown", s.Stored)
	}
	switch s.Answer {
	case AnswerResult, AnswerReset, AnswerHang, AnswerGarbage, AnswerTruncated, AnswerEmpty,
		AnswerRedirect, AnswerOversized, AnswerContradiction:
	default:
		bad("answer: %q is unknown", s.Answer)
	}
	switch s.Receipt {
	case ReceiptDefault, ReceiptRepost, ReceiptNone:
	default:
		bad("receipt: %q is unknown", s.Receipt)
	}
	switch s.Then {
	case "", Completed, Failed:
	default:
		bad("then: %q is not a terminal state", s.Then)
	}
	if s.Shape != "" && !s.Shape.valid() {
		bad("shape: %q is unknown", s.Shape)
	}
	if s.Status != 0 && (s.Status < 200 || s.Status > 599) {
		bad("status: %d is not a final HTTP status", s.Status)
	}
	if s.Size < 0 || s.Size > maxOversized {
		bad("size: must be 0 to %d", maxOversized)
	}
	if s.Latency < 0 || s.For < 0 || s.HiddenFor < 0 || s.Polls < 0 || s.HiddenPolls < 0 {
		bad("durations and counts must not be negative")
	}
	return errors.Join(errs...)
}
