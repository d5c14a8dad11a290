package publisher

import (
	"strconv"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
)

// DefaultPrefix is the prefix of subjects, and in upper case of streams, where
// none is configured (subjects.prefix).
const DefaultPrefix = "purchases"

// Subjects names the streams and subjects below one prefix. The zero value uses
// DefaultPrefix. A dot in the prefix becomes an underscore in stream names.
type Subjects struct {
	Prefix string
}

func (s Subjects) prefix() string {
	if s.Prefix == "" {
		return DefaultPrefix
	}
	return s.Prefix
}

func (s Subjects) stream(name string) string {
	return strings.ToUpper(strings.ReplaceAll(s.prefix(), ".", "_")) + "_" + name
}

// RequestsStream holds every purchase asked for.
func (s Subjects) RequestsStream() string { return s.stream("REQUESTS") }

// PendingStream holds purchases submitted and not yet terminal.
func (s Subjects) PendingStream() string { return s.stream("PENDING") }

// ResultsStream holds the terminal result of each purchase.
func (s Subjects) ResultsStream() string { return s.stream("RESULTS") }

// DeadStream holds messages that can have no result.
func (s Subjects) DeadStream() string { return s.stream("DEAD") }

// AccountsBucket is the key-value bucket with the accounts' pauses.
func (s Subjects) AccountsBucket() string { return s.stream("ACCOUNTS") }

// Requests is the subject to publish an account's purchase requests on.
func (s Subjects) Requests(account string) string {
	return s.prefix() + ".requests." + account
}

// Pending is the subject of a purchase's hand-off.
func (s Subjects) Pending(account, reference string) string {
	return s.prefix() + ".pending." + account + "." + purchase.Token(reference)
}

// Result is the subject of a purchase's result.
func (s Subjects) Result(account, reference string) string {
	return s.prefix() + ".results." + account + "." + purchase.Token(reference)
}

// Dead is the subject of the dead letter of the message with that sequence in
// the requests stream.
func (s Subjects) Dead(account string, sequence uint64) string {
	return s.prefix() + ".dead." + account + "." + strconv.FormatUint(sequence, 10)
}

// AllRequests matches the requests of all accounts.
func (s Subjects) AllRequests() string { return s.prefix() + ".requests.*" }

// AllPending matches the hand-offs of an account, or of all with "*".
func (s Subjects) AllPending(account string) string {
	return s.prefix() + ".pending." + account + ".*"
}

// AllResults matches the results of an account, or of all with "*".
func (s Subjects) AllResults(account string) string {
	return s.prefix() + ".results." + account + ".*"
}

// AllDead matches the dead letters of an account, or of all with "*".
func (s Subjects) AllDead(account string) string {
	return s.prefix() + ".dead." + account + ".*"
}

// AccountOf is the account in a subject of any of the streams, or "".
func (s Subjects) AccountOf(subject string) string {
	rest, ok := strings.CutPrefix(subject, s.prefix()+".")
	if !ok {
		return ""
	}
	kind, rest, _ := strings.Cut(rest, ".")
	account, last, more := strings.Cut(rest, ".")
	switch kind {
	case "requests":
		if more {
			return ""
		}
	case "pending", "results", "dead":
		if last == "" || strings.Contains(last, ".") {
			return ""
		}
	default:
		return ""
	}
	return account
}

// MessageID is the Nats-Msg-Id of a purchase: of its request, where the
// publisher follows the advice of the contract, and of its result.
func MessageID(account, reference string) string {
	return account + "/" + purchase.Token(reference)
}
