package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/vendstream/vendstream/internal/purchase"
)

// Buyer gives the account that a row is for, as the daemons read its requests.
// name is "" where the row names none. Its error says what is wrong with the name.
type Buyer func(name string) (purchase.Account, error)

// mark stands for a purchase or a payload in little memory: the beginning of a
// SHA-256.
type mark [16]byte

func markOf(parts ...string) mark {
	h := sha256.New()
	for _, part := range parts {
		_, _ = io.WriteString(h, part) // a hash takes everything
		_, _ = h.Write([]byte{0})
	}
	return mark(h.Sum(nil)[:len(mark{})])
}

// planned is what is kept of a row: about 100 bytes with its place in the maps,
// so that a million rows take some 100 MB.
type planned struct {
	digest  mark
	line    int
	account uint32 // in Plan.Accounts
}

// Plan is an input that was checked: every row can be submitted, and no two are
// the same purchase.
type Plan struct {
	// Input is the SHA-256 of the input's bytes, in hexadecimal.
	Input string
	// Rows is a fingerprint of the purchases: accounts, references and payloads.
	Rows string
	// Accounts are those of the rows, in the order in which they come.
	Accounts []AccountPlan

	rows []planned
	keys map[mark]uint32 // account and reference to row
}

// AccountPlan is what the rows of one account come to.
type AccountPlan struct {
	Name string
	Rows int
	// Sum is that of the amounts which can be money.
	Sum purchase.Total
	// Refused is how many rows the pipeline will refuse without a call, as far as
	// their fields say: they will be FAILED, class validation.
	Refused int
	// Refusals are the first twenty of them.
	Refusals []Refusal
}

// Refusal is a row that will be FAILED without a call.
type Refusal struct {
	Line int
	Why  string // the answer that it will get: code and message
}

// Len is the number of rows.
func (p *Plan) Len() int { return len(p.rows) }

func (p *Plan) account(row uint32) string { return p.Accounts[p.rows[row].account].Name }

// find is the row of a purchase.
func (p *Plan) find(account, reference string) (uint32, bool) {
	row, ok := p.keys[markOf(account, reference)]
	return row, ok
}

// maxShown is how many faults of an input are listed.
const maxShown = 20

// InputError lists what is wrong with an input, one line each. Nothing of it was
// submitted.
type InputError struct {
	Faults []error
	// More is how many faults there are beside those.
	More int
}

func (e *InputError) Error() string {
	lines := make([]string, 0, len(e.Faults)+2)
	lines = append(lines, fmt.Sprintf("the input has %d faults, and nothing was submitted:", len(e.Faults)+e.More))
	for _, fault := range e.Faults {
		lines = append(lines, fault.Error())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// Check reads the entire input and makes its plan. Rows that could only become
// dead letters, and references that are used twice, are told all at once in an
// *InputError. What is wrong with single fields is no fault: such a row gets a
// FAILED result, and is counted in the plan.
func Check(in io.Reader, o Options, buyer Buyer) (*Plan, error) {
	whole := sha256.New()
	tee := io.TeeReader(in, whole)
	c := &checker{
		plan:    &Plan{keys: map[mark]uint32{}},
		buyers:  map[string]bought{},
		indexes: map[string]uint32{},
		buyer:   buyer,
	}
	rows := sha256.New()
	reader, err := NewReader(tee, o)
	for err == nil {
		var row Row
		if row, err = reader.Next(); err == nil {
			err = c.add(row, rows)
		}
		if bad := (*RowError)(nil); errors.As(err, &bad) {
			c.fault(bad)
			err = nil
		}
	}
	switch bad := (*RowError)(nil); {
	case errors.As(err, &bad): // of the header line
		c.fault(bad)
	case errors.Is(err, errTooLong):
		c.fault(fmt.Errorf("after line %d: %w", c.line, err))
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read the input: %w", err)
	case len(c.faults) == 0 && c.plan.Len() == 0:
		c.fault(errors.New("there is no purchase in it"))
	}
	if len(c.faults) > 0 {
		return nil, &InputError{Faults: c.faults, More: c.more}
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what the reader left
		return nil, fmt.Errorf("read the input: %w", err)
	}
	c.plan.Input, c.plan.Rows = hex.EncodeToString(whole.Sum(nil)), hex.EncodeToString(rows.Sum(nil))
	c.plan.rows = slices.Clip(c.plan.rows)
	return c.plan, nil
}

// bought is what Buyer said of a name.
type bought struct {
	account purchase.Account
	err     error
}

type checker struct {
	plan    *Plan
	buyer   Buyer
	buyers  map[string]bought
	indexes map[string]uint32
	faults  []error
	more    int
	line    int // of the last row that was read
}

func (c *checker) fault(err error) {
	if len(c.faults) == maxShown {
		c.more++
		return
	}
	c.faults = append(c.faults, err)
}

func (c *checker) add(row Row, rows io.Writer) error {
	c.line = row.Line
	request, err := parse(&row, func(name string) (purchase.Account, error) {
		b, known := c.buyers[name]
		if !known {
			b.account, b.err = c.buyer(name)
			if len(c.buyers) < maxAccounts { // a column of nonsense must not fill the memory
				c.buyers[name] = b
			}
		}
		return b.account, b.err
	})
	if err != nil {
		return err
	}
	key := markOf(request.Account, request.Reference)
	if first, twice := c.plan.keys[key]; twice {
		return wrong(row.Line, "merchantReference %q of account %s is used in line %d already", request.Reference, request.Account, c.plan.rows[first].line)
	}
	if len(c.plan.rows) == math.MaxUint32 {
		return errors.New("there are too many rows")
	}
	at, known := c.indexes[request.Account]
	if !known {
		at = uint32(len(c.plan.Accounts))
		c.indexes[request.Account] = at
		c.plan.Accounts = append(c.plan.Accounts, AccountPlan{Name: request.Account})
	}
	account := &c.plan.Accounts[at]
	account.Rows++
	if amount, ok := request.Amount(); ok {
		account.Sum.Add(amount)
	}
	if refusal := request.Validate(); refusal != nil {
		if account.Refused++; account.Refused <= maxShown {
			account.Refusals = append(account.Refusals, Refusal{row.Line, refusal.Code + " " + refusal.Message})
		}
	}
	c.plan.keys[key] = uint32(len(c.plan.rows))
	digest := markOf(string(request.Digest))
	c.plan.rows = append(c.plan.rows, planned{digest: digest, line: row.Line, account: at})
	_, _ = rows.Write(key[:])
	_, _ = rows.Write(digest[:])
	return nil
}

// maxAccounts is for how many names the answer of Buyer is kept.
const maxAccounts = 100_000

// parse reads a row's body for the account that it is for, which it puts into the
// row.
func parse(row *Row, buyer Buyer) (*purchase.Request, error) {
	account, err := buyer(row.Request.Account)
	if err != nil {
		return nil, wrong(row.Line, "%v", err)
	}
	row.Request.Account = account.Name
	request, err := purchase.Parse(row.Request.Body, account)
	if rejection := (*purchase.Rejection)(nil); errors.As(err, &rejection) {
		return nil, wrong(row.Line, "%s", rejection.Detail)
	}
	return request, err
}
