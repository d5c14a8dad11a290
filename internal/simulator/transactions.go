package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sizes of a page (pagamio-api.md, "Transactions": size at most 100).
const (
	defaultPageSize = 20
	maxPageSize     = 100
)

// statusCodes are the documented numbers of the states.
var statusCodes = map[State]int{Completed: 0, Pending: 1, Processing: 2, Failed: 3}

// query is what a call of /transactions asks for.
type query struct {
	params        url.Values
	transactionID string
	reference     string // empty unless the filter works
	exportAll     bool
	page, size    int
	status        State // empty: any
	from, to      time.Time
}

// transactions is POST /transactions (pagamio-api.md, "Transactions").
func (s *Simulator) transactions(c *call) reply {
	params := c.r.URL.Query()
	found, valid := s.sessions.bearer(c.r, c.now)
	if !valid {
		return s.unauthorized()
	}
	a := found.account
	c.session = found
	asked, product := a.asked(params)
	t := target{endpoint: EndpointTransactions, account: a.name}
	if asked != nil {
		t.reference, t.product = asked.reference, product
	}
	c.step = s.faults.pick(t)
	if c.step == nil && asked != nil {
		c.step = s.conventionFault(a, asked, EndpointTransactions)
	}
	return s.strike(c, func(c *call) reply {
		q, refused := s.parseQuery(a, params)
		if refused != nil {
			return *refused
		}
		return s.list(c, a, q, asked)
	})
}

// asked is the record that a call asks after by id or by reference, whether the
// filter works or not, and its product; nil where it asks for none.
func (a *account) asked(params url.Values) (rec *record, product string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if tx := a.byID[params.Get("transactionId")]; tx != nil {
		rec = tx.record
	} else {
		rec = a.records[params.Get("merchantReference")]
	}
	if rec != nil {
		product = rec.productCode
	}
	return rec, product
}

// parseQuery checks the parameters. userType and userTypeId are required, and
// must be the caller's own.
func (s *Simulator) parseQuery(a *account, params url.Values) (query, *reply) {
	bad := func(rep reply) (query, *reply) { return query{}, &rep }
	userType, id := params.Get("userType"), params.Get("userTypeId")
	if userType == "" || id == "" {
		return bad(failure(Flat, http.StatusBadRequest, codeOldFieldsMissing, ""))
	}
	if userType != a.cfg.UserType || id != a.cfg.UserTypeID {
		return bad(statusReply(http.StatusForbidden, ""))
	}
	q := query{params: params, transactionID: params.Get("transactionId"), size: defaultPageSize}
	if s.cfg.Transactions.FilterByReference {
		q.reference = params.Get("merchantReference")
	}
	wrong := ""
	number := func(name string, into *int) {
		if text := params.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				wrong = name
				return
			}
			*into = n
		}
	}
	date := func(name string, into *time.Time) {
		if text := params.Get(name); text != "" {
			day, err := time.Parse(time.DateOnly, text)
			if err != nil {
				wrong = name
				return
			}
			*into = day
		}
	}
	number("page", &q.page)
	number("size", &q.size)
	date(s.cfg.Transactions.StartParam, &q.from)
	date(s.cfg.Transactions.EndParam, &q.to)
	if text := params.Get("exportAll"); text != "" {
		export, err := strconv.ParseBool(text)
		if err != nil {
			wrong = "exportAll"
		}
		q.exportAll = export
	}
	if text := params.Get("status"); text != "" {
		for state, code := range statusCodes {
			if strconv.Itoa(code) == text {
				q.status = state
			}
		}
		if q.status == "" {
			wrong = "status"
		}
	}
	if wrong != "" {
		return bad(failure(Flat, http.StatusBadRequest, codeInvalidFormat, messageOf(codeInvalidFormat)+": "+wrong))
	}
	q.size = min(max(q.size, 1), maxPageSize)
	return q, nil
}

// list answers with the page that was asked for, the newest first, or with a
// bare array for exportAll.
func (s *Simulator) list(c *call, a *account, q query, asked *record) reply {
	now := s.cfg.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if asked != nil {
		asked.polls++
	}
	matching := a.matching(q, now)
	shown := matching
	if !q.exportAll {
		from := min(q.page, len(matching)/q.size+1) * q.size
		shown = matching[min(from, len(matching)):min(from+q.size, len(matching))]
	}
	b := make([]byte, 0, 256+512*len(shown))
	if !q.exportAll {
		b = append(b, `{"content":`...)
	}
	b = append(b, '[')
	for i, tx := range shown {
		if i > 0 {
			b = append(b, ',')
		}
		b = tx.appendItem(b, a, &s.cfg.Transactions)
		s.toldByList(c, tx, tx.record == asked)
	}
	b = append(b, ']')
	if !q.exportAll {
		b = append(b, `,"page":`...)
		b = strconv.AppendInt(b, int64(q.page), 10)
		b = append(b, `,"size":`...)
		b = strconv.AppendInt(b, int64(q.size), 10)
		b = append(b, `,"totalElements":`...)
		b = strconv.AppendInt(b, int64(len(matching)), 10)
		b = append(b, `,"totalPages":`...)
		b = strconv.AppendInt(b, int64((len(matching)+q.size-1)/q.size), 10)
		b = append(b, '}')
	}
	if asked != nil && asked.current != nil {
		asked.current.polled()
	}
	return jsonReply(http.StatusOK, b)
}

// toldByList keeps the ledger's account of what the caller knows. An open
// transaction counts as told only to a caller that asked for it.
func (s *Simulator) toldByList(c *call, tx *transaction, asked bool) {
	if c.step != nil && (c.step.Answer != AnswerResult || c.step.Status >= 400 || c.step.Code != "") {
		return
	}
	if tx.record != nil && (asked || !tx.state.Open()) {
		tx.record.told(tx.state, s.sequence.Add(1))
	}
}

// matching are the visible transactions that pass the filters. a.mu must be held.
func (a *account) matching(q query, now time.Time) []*transaction {
	var found []*transaction
	consider := func(tx *transaction) {
		a.settle(tx, now)
		if tx.shown(now) && q.passes(tx) {
			found = append(found, tx)
		}
	}
	switch {
	case q.transactionID != "":
		if tx := a.byID[q.transactionID]; tx != nil {
			consider(tx)
		}
	case q.reference != "":
		if rec := a.records[q.reference]; rec != nil {
			for _, tx := range rec.transactions() {
				consider(tx)
			}
		}
	default:
		for _, tx := range slices.Backward(a.listed) {
			consider(tx)
		}
	}
	return found
}

func (q *query) passes(tx *transaction) bool {
	is := func(name, value string) bool {
		wanted := q.params.Get(name)
		return wanted == "" || strings.EqualFold(wanted, value)
	}
	day := tx.created.UTC().Truncate(24 * time.Hour)
	return (q.reference == "" || (tx.record != nil && tx.record.reference == q.reference)) &&
		(q.status == "" || q.status == tx.state) &&
		(q.from.IsZero() || !day.Before(q.from)) &&
		(q.to.IsZero() || !day.After(q.to)) &&
		is("categoryName", tx.product.category().Name) &&
		is("brandName", tx.product.BrandName) &&
		is("aggregatorName", tx.product.BrandName) &&
		q.keyWordIn(tx)
}

func (q *query) keyWordIn(tx *transaction) bool {
	word := strings.ToLower(q.params.Get("keyWord"))
	return word == "" || strings.Contains(strings.ToLower(tx.product.Name+" "+tx.product.Code+" "+tx.id), word)
}

// appendItem writes an item. The sample items of the documentation show neither
// receipt nor merchantReference.
func (tx *transaction) appendItem(b []byte, a *account, how *Transactions) []byte {
	price := tx.cost.FloatString(4) // as in "price":30.0000
	text := func(name, value string) {
		b = append(b, name...)
		b = appendText(b, value)
	}
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, tx.number, 10)
	b = append(b, `,"status":{"code":`...)
	b = strconv.AppendInt(b, int64(statusCodes[tx.state]), 10)
	text(`,"label":`, string(tx.state))
	text(`,"description":`, "Transaction "+strings.ToLower(string(tx.state)))
	text(`},"productName":`, tx.product.Name)
	text(`,"productShortName":`, tx.product.Code)
	b = append(b, `,"quantity":1,"price":`...)
	b = append(b, price...)
	b = append(b, `,"totalAmount":`...)
	b = append(b, price...)
	text(`,"transactionId":`, tx.id)
	b = append(b, `,"responseDate":"`...)
	b = tx.created.UTC().AppendFormat(b, vendorTime)
	text(`","brandName":`, tx.product.BrandName)
	text(`,"categoryName":`, tx.product.category().Name)
	text(`,"channelName":`, tx.channel)
	text(`,"merchantName":`, a.cfg.MerchantName)
	if how.BearReference && tx.record != nil {
		text(`,"merchantReference":`, tx.record.reference)
	}
	if how.Receipts && tx.state == Completed && tx.receipt == ReceiptDefault {
		b = append(b, `,"receipt":`...)
		b = tx.appendReceipt(b)
	}
	return append(b, '}')
}
