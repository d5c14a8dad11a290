package vendor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Reasons for which an answer that could be read proves nothing.
var (
	errContradiction  = errors.New("the answer contradicts itself")
	errNoCode         = errors.New("the answer bears no responseCode")
	errUnlistedCode   = errors.New("the answer bears a responseCode that is not in the vendor's table")
	errUnlistedStatus = errors.New("the answer bears a status that is not documented")
	errOtherReference = errors.New("the answer is about another merchantReference")
	errNotFailure     = errors.New("the body of a client error states no terminal failure")
)

// statusError is an answer whose HTTP status settles the outcome.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

// classify says what the answer to a purchase proves. The HTTP status decides
// first; a body counts only where the table gives it the word, and then all of
// it must agree. It never fails: what is not proven is Unknown, with a Cause.
func classify(status int, body []byte, reference string) purchase.Outcome {
	a, err := readAnswer(body, signalFields)
	if err == nil && !a.isAbout(reference) {
		a, err = answer{}, errOtherReference
	}
	return judge(status, a, err)
}

// classifyLookup is classify for a lookup, which has no reference of its own
// and is read by its code alone (pagamio-api.md, ASSUMED, on /lookup/*).
func classifyLookup(status int, body []byte) (purchase.Outcome, answer) {
	a, err := readAnswer(body, lookupDataFields)
	return judge(status, a, err), a
}

// judge applies the table to an answer that was read, or to the error for which
// it could not be.
func judge(status int, a answer, unreadable error) purchase.Outcome {
	rule := statusRuleOf(status)
	switch {
	case rule.ruling == byStatus:
		return settledByStatus(status, rule.kind, a)
	case unreadable != nil:
		return unknown(unreadable)
	}
	outcome := a.outcome()
	if rule.ruling == byFailure && outcome.Kind != purchase.Failed && outcome.Kind != purchase.LookUp {
		return unknown(fmt.Errorf("%w: %w", statusError(status), errNotFailure))
	}
	return outcome
}

// settledByStatus makes the outcome of a status that decides alone. a is empty
// where the body could not be read or is about another purchase.
func settledByStatus(status int, kind purchase.OutcomeKind, a answer) purchase.Outcome {
	outcome := purchase.Outcome{Kind: kind, Message: a.message, Cause: statusError(status)}
	switch kind {
	case purchase.Unauthorized, purchase.Forbidden, purchase.Limited:
		// These say that nothing happened. A body that says that something did is
		// not documented, and then neither is believed.
		if said := a.outcome().Kind; said == purchase.Completed || said == purchase.InFlight {
			return unknown(fmt.Errorf("%w: %w", statusError(status), errContradiction))
		}
		if kind == purchase.Forbidden {
			outcome.Code, outcome.Class = purchase.CodeForbidden, purchase.ClassAuthorization
		}
	case purchase.InFlight, purchase.LookUp:
		outcome.TransactionID = a.transactionID
		outcome.Code = a.code()
		if kind == purchase.InFlight {
			outcome.Cause = nil // an answer like another, with nothing to explain
		}
	default: // Unknown: a 5xx body is often a proxy's, and no part of it is used
		return unknown(statusError(status))
	}
	return outcome
}

func unknown(cause error) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown, Cause: cause}
}

// isAbout reports whether every reference in the answer is the one asked for.
// An answer without one is.
func (a *answer) isAbout(reference string) bool {
	return !slices.ContainsFunc(a.references, func(r string) bool { return r != reference })
}

// outcome is what the body states, taken as a whole.
func (a *answer) outcome() purchase.Outcome {
	code, kind, class, err := a.verdict()
	outcome := purchase.Outcome{
		Kind:          kind,
		TransactionID: a.transactionID,
		Code:          code,
		Message:       a.message,
		Class:         class,
		Receipt:       a.receipt,
		Cause:         err,
	}
	if !kind.Terminal() {
		outcome.Receipt = nil
	}
	if kind == purchase.Unknown {
		// Nothing of a body that is not understood is acted on; its code and
		// message are kept for whoever looks into it.
		outcome.TransactionID = ""
	}
	return outcome
}

// verdict asks that all signals agree; otherwise it is Unknown and says why.
func (a *answer) verdict() (code string, kind purchase.OutcomeKind, class purchase.Class, err error) {
	stated, hasStatus, err := a.status()
	if err != nil {
		return a.code(), purchase.Unknown, "", err
	}
	codes := a.decisive()
	if slices.ContainsFunc(codes, func(c string) bool { return c != codes[0] }) {
		return a.code(), purchase.Unknown, "", errContradiction
	}
	code = a.code()
	row, listed := codeRows[code]
	switch {
	case listed:
		kind = row.kind
	case len(codes) > 0:
		return code, purchase.Unknown, "", errUnlistedCode
	case stated == purchase.InFlight && hasStatus:
		// "Life cycle": a status of PENDING or PROCESSING needs no code.
		kind = purchase.InFlight
	default:
		return code, purchase.Unknown, "", errNoCode
	}
	if !a.flagsAgree(kind) || !a.rejectionsAgree(kind) {
		return code, purchase.Unknown, "", errContradiction
	}
	switch {
	case !hasStatus || stated == kind:
		return code, kind, row.class, nil
	case kind == purchase.Completed && stated == purchase.InFlight:
		// The call was successful; the purchase goes on.
		return code, purchase.InFlight, "", nil
	default:
		return code, purchase.Unknown, "", errContradiction
	}
}

// status is the one status that the answer states, if it states one.
func (a *answer) status() (kind purchase.OutcomeKind, there bool, err error) {
	for i, word := range a.statuses {
		stated, listed := statusWords[word]
		switch {
		case !listed:
			return purchase.Unknown, true, errUnlistedStatus
		case i > 0 && stated != kind:
			return purchase.Unknown, true, errContradiction
		}
		kind, there = stated, true
	}
	return kind, there, nil
}

// flagsAgree holds the flags against the kind that the code gives. A purchase in
// flight is neither successful nor failed yet, so there either value fits.
func (a *answer) flagsAgree(kind purchase.OutcomeKind) bool {
	switch kind {
	case purchase.InFlight:
		return true
	case purchase.Completed:
		return !slices.Contains(a.flags, false)
	default:
		return !slices.Contains(a.flags, true)
	}
}

// rejectionsAgree holds error, rejectionCode and rejectionReason against the
// kind that the code gives. A rejectionCode that is not in the vendor's table is
// the provider's own: it says that there was a failure, and not which.
func (a *answer) rejectionsAgree(kind purchase.OutcomeKind) bool {
	if kind == purchase.Completed || kind == purchase.InFlight {
		return !a.failureNoted && len(a.rejections) == 0
	}
	return !slices.ContainsFunc(a.rejections, func(code string) bool {
		row, listed := codeRows[code]
		return listed && row.kind != kind
	})
}

// decisive are the codes that decide: responseCode and error.code, and only
// where there is none, rejectionCode.
func (a *answer) decisive() []string {
	if len(a.codes) > 0 {
		return a.codes
	}
	return a.rejections
}

// plainCode reports whether a code looks like one: 1 to 32 letters, digits, "_" and
// "-". Anything else that stands in its place could be anything, and is not handed
// on. It is asked of every answer, so it is no regular expression.
func plainCode(code string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return code != "" && len(code) <= 32 && strings.Trim(code, letters) == ""
}

// code is the first decisive code, or "" where there is none that is plain.
func (a *answer) code() string {
	if codes := a.decisive(); len(codes) > 0 && plainCode(codes[0]) {
		return codes[0]
	}
	return ""
}
