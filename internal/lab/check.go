package lab

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// Message is one message of a stream.
type Message struct {
	Subject  string
	Sequence uint64
	Header   map[string][]string
	Data     []byte
}

// Key names a purchase.
type Key struct{ Account, Reference string }

func (k Key) String() string { return k.Account + "/" + k.Reference }

// Sale is what the vendor knows of a purchase.
type Sale struct {
	simulator.Entry
	Receipt []byte // of a completed one; nil where the vendor has none
}

// Evidence is all that can be seen of a run from outside.
type Evidence struct {
	Accounts []purchase.Account // those that are served
	// Acknowledged are the sequences that publishers were given.
	Acknowledged []uint64
	Requests     []Message
	Results      []Message
	Dead         []Message
	Pending      []Message
	// Unfinished counts, by account, requests that the consumer has not acknowledged.
	Unfinished map[string]uint64
	Sales      []Sale
	// Lost are purchase calls that reached the vendor and could not be read, so
	// that no sale counts them.
	Lost int64
	// Limited are the purchases for which a 429 was ordered.
	Limited map[Key]bool
	// Killed says that processes were killed. What one knew of its calls may have
	// died with it, so the number of attempts is not compared, and neither are the
	// vendor's own counts of posts after a non-terminal answer, which count an answer
	// that was never stored.
	Killed bool
}

// Breach is a promise of the contract that did not hold.
type Breach struct {
	Promise int    // its number in the contract; 0 for what it says of dead letters
	About   string // the purchase or the message
	Detail  string
}

func (b Breach) String() string {
	name := fmt.Sprintf("promise %d", b.Promise)
	if b.Promise == 0 {
		name = "dead letters"
	}
	return fmt.Sprintf("%s: %s: %s", name, b.About, b.Detail)
}

// Check holds a run that has ended against the contract, and names every promise
// that it broke. It trusts no counter of the program's: only the streams and the
// vendor's ledger. It decides by its arguments alone.
func Check(e Evidence) []Breach {
	a := &audit{
		e:        e,
		accounts: map[string]purchase.Account{},
		results:  map[Key][]*purchase.Result{},
		dead:     map[uint64][]Message{},
		requests: map[uint64]Message{},
		asked:    map[Key][]asked{},
		sales:    map[Key]Sale{},
	}
	for _, account := range e.Accounts {
		a.accounts[account.Name] = account
	}
	a.readResults()
	a.readDead()
	a.readRequests()
	a.checkEnds()
	a.checkSales()
	a.checkLeftovers()
	return a.breaches
}

// asked is one request that may have a result.
type asked struct {
	sequence uint64
	digest   purchase.Digest
	amount   *big.Rat // nil where it cannot be read
	product  string
}

type audit struct {
	e        Evidence
	accounts map[string]purchase.Account
	requests map[uint64]Message
	asked    map[Key][]asked
	results  map[Key][]*purchase.Result
	dead     map[uint64][]Message
	sales    map[Key]Sale
	breaches []Breach
}

func (a *audit) breach(promise int, about fmt.Stringer, format string, args ...any) {
	a.breaches = append(a.breaches, Breach{promise, about.String(), fmt.Sprintf(format, args...)})
}

// request names a message of the requests stream.
type request uint64

func (r request) String() string { return "request " + strconv.FormatUint(uint64(r), 10) }

func (a *audit) readResults() {
	for _, m := range a.e.Results {
		r, err := decodeResult(m.Data)
		if err != nil {
			a.breach(4, request(m.Sequence), "a result cannot be read: %v", err)
			continue
		}
		key := Key{r.Account, r.MerchantReference}
		if m.Subject != subjects.Result(r.Account, r.MerchantReference) {
			a.breach(3, key, "its result is on subject %s", m.Subject)
		}
		a.results[key] = append(a.results[key], r)
		want := publisher.TypeFailed
		if r.Status == purchase.StatusCompleted {
			want = publisher.TypeCompleted
		}
		if got := publisher.Header(m.Header, publisher.HeaderEventType); got != want {
			a.breach(4, key, "the result says %s and its %s says %s", r.Status, publisher.HeaderEventType, got)
		}
	}
}

func (a *audit) readDead() {
	for _, m := range a.e.Dead {
		sequence, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
		if err != nil {
			a.breach(0, request(m.Sequence), "subject %s names no request", m.Subject)
			continue
		}
		a.dead[sequence] = append(a.dead[sequence], m)
	}
}

// readRequests sorts the requests by purchase, and judges those that can have no
// result.
func (a *audit) readRequests() {
	for _, m := range a.e.Requests {
		a.requests[m.Sequence] = m
		account := subjects.AccountOf(m.Subject)
		served, known := a.accounts[account]
		if !known {
			served = purchase.Account{Name: account}
		}
		r, err := purchase.Parse(m.Data, served)
		var why *purchase.Rejection
		switch {
		case errors.As(err, &why):
			a.mustBeDead(m, why.Reason)
		case err != nil:
			a.breach(1, request(m.Sequence), "cannot be read: %v", err)
		case !known:
			a.mustBeDead(m, purchase.ReasonUnknownAccount)
		default:
			key := Key{account, r.Reference}
			one := asked{sequence: m.Sequence, digest: r.Digest, product: r.ProductCode()}
			one.amount = amountOf(m.Data)
			a.asked[key] = append(a.asked[key], one)
		}
	}
	for _, sequence := range a.e.Acknowledged {
		if _, there := a.requests[sequence]; !there {
			a.breach(1, request(sequence), "was acknowledged and is not on the stream")
		}
	}
	for sequence := range a.dead {
		if _, there := a.requests[sequence]; !there {
			a.breach(0, request(sequence), "has a dead letter and was never asked")
		}
	}
}

// mustBeDead asks for exactly one dead letter, for that reason, with the body as
// it was.
func (a *audit) mustBeDead(m Message, reason purchase.Reason) {
	letters := a.dead[m.Sequence]
	if len(letters) != 1 {
		a.breach(1, request(m.Sequence), "is %s and has %d dead letters", reason, len(letters))
		return
	}
	if got := publisher.Header(letters[0].Header, publisher.HeaderReason); got != string(reason) {
		a.breach(0, request(m.Sequence), "is %s and its dead letter says %s", reason, got)
	}
	if !bytes.Equal(letters[0].Data, m.Data) {
		a.breach(0, request(m.Sequence), "its dead letter has another body")
	}
}

// checkEnds asks that every purchase has one result, and every request of it
// shares that or is one dead letter for the conflict.
func (a *audit) checkEnds() {
	for key, all := range a.asked {
		results := a.results[key]
		if len(results) != 1 {
			promise := 3
			if len(results) == 0 {
				promise = 1
			}
			a.breach(promise, key, "has %d results", len(results))
			continue
		}
		of := slices.IndexFunc(all, func(one asked) bool { return one.digest == results[0].RequestDigest })
		if of < 0 {
			a.breach(1, key, "the requestDigest of its result is that of no request")
			continue
		}
		for _, one := range all {
			if one.digest != results[0].RequestDigest {
				a.mustBeDead(a.requests[one.sequence], purchase.ReasonConflict)
			} else if letters := a.dead[one.sequence]; len(letters) > 0 {
				a.breach(1, request(one.sequence), "has a result and %d dead letters", len(letters))
			}
		}
	}
	for key := range a.results {
		if len(a.asked[key]) == 0 {
			a.breach(3, key, "has a result and was never asked")
		}
	}
}

// checkLeftovers asks that nothing waits any more.
func (a *audit) checkLeftovers() {
	for _, m := range a.e.Pending {
		a.breach(1, request(m.Sequence), "is still pending: %s", m.Subject)
	}
	for account, n := range a.e.Unfinished {
		if n > 0 {
			a.breach(1, Key{Account: account}, "%d requests are not acknowledged by the consumer", n)
		}
	}
}
