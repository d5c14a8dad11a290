package simulator

import (
	"math/big"
	"net/http"
	"slices"
	"time"
)

// purchase is POST /purchase (pagamio-api.md, "Purchase"). The order is token,
// role, limit, body, fault, reference: a call that is refused before the fault
// uses up no step of it.
func (s *Simulator) purchase(c *call) reply {
	found, valid := s.sessions.bearer(c.r, c.now)
	if found == nil {
		return s.unauthorized()
	}
	c.session = found
	a := found.account
	req, err := parsePurchase(c.body)

	rep, rec := s.admit(c, a, req, valid)
	if rep != nil {
		return *rep
	}
	if err != nil {
		return failure(Flat, http.StatusBadRequest, codeInvalidFormat, "Invalid field format: "+err.Error())
	}
	if rec == nil {
		// Without a reference there is nothing to store it under.
		return s.fieldsMissing("merchantReference")
	}
	step := s.purchaseFault(a, rec, req)
	if step == nil {
		return s.act(c, a, rec, req, nil)
	}
	if !s.pause(c, step) {
		a.mu.Lock()
		rec.refused++
		a.mu.Unlock()
		return reply{wire: wireNone}
	}
	if step.stored() == StoredNone {
		a.mu.Lock()
		rec.countRefusal(step.Status)
		a.mu.Unlock()
		return s.disturb(c, step, reply{})
	}
	return s.act(c, a, rec, req, step)
}

// admit applies token, role and limit, and counts the call in the ledger where
// it bears a usable reference.
func (s *Simulator) admit(c *call, a *account, req *purchaseRequest, valid bool) (*reply, *record) {
	allowed := a.cfg.UserType == userTypeMerchant || a.cfg.UserType == userTypeSubMerchant
	var refusal *reply
	refuse := func(rep reply) { refusal = &rep }
	switch {
	case !valid:
		refuse(s.unauthorized())
	case !allowed:
		// "Only Merchant and Sub-Merchant users may call it (others: 403)."
		refuse(statusReply(http.StatusForbidden, c.path))
	case !a.limiter.allow(c.now):
		// "Purchase limits": by token; all tokens of an account share one limit here,
		// which is the stricter reading.
		refuse(limited(c.path))
	}
	if req == nil || req.reference == "" {
		return refusal, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rec := a.record(req.reference, c.now)
	rec.calls++
	if rec.current != nil {
		a.settle(rec.current, c.now)
	}
	rec.audit(c.arrived)
	if refusal != nil {
		rec.countRefusal(refusal.status)
		return refusal, rec
	}
	if rec.productCode == "" {
		rec.productCode, rec.amount = req.productCode, req.amountText()
	}
	rec.note(c.body, s.cfg.KeepBodies)
	return nil, rec
}

func (rec *record) countRefusal(status int) {
	switch status {
	case http.StatusUnauthorized:
		rec.unauthorized++
	case http.StatusTooManyRequests:
		rec.limited++
	default:
		rec.refused++
	}
}

// purchaseFault finds the fault for a purchase call: one that was ordered, else
// the one that the reference itself asks for.
func (s *Simulator) purchaseFault(a *account, rec *record, req *purchaseRequest) *Step {
	t := target{EndpointPurchase, a.name, req.reference, req.productCode}
	if step := s.faults.pick(t); step != nil {
		return step
	}
	return s.conventionFault(a, rec, EndpointPurchase)
}

// conventionFault is the step that a reference asks for at an endpoint.
func (s *Simulator) conventionFault(a *account, rec *record, at Endpoint) *Step {
	if s.cfg.ReferenceFaults != nil && !*s.cfg.ReferenceFaults {
		return nil
	}
	f, ok := referenceFault(rec.reference, s.cfg.OpenFor)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	struck := &rec.conventionCalls
	switch {
	case f.endpoint == EndpointTransactions && at == EndpointTransactions:
		struck = &rec.conventionPolls
	case f.endpoint == EndpointTransactions:
		// A fault for polls is of use only to a purchase that is polled.
		f.times, f.steps = 1, []Step{{Stored: StoredPending, For: s.cfg.OpenFor}}
	case at == EndpointTransactions:
		return nil
	}
	if f.times >= 0 && *struck >= f.times {
		return nil
	}
	*struck++
	return &f.steps[0]
}

// act stores the purchase unless its reference is known, and answers with what
// stands there ("merchantReference": a reference used before returns the
// original transaction's result and creates nothing).
func (s *Simulator) act(c *call, a *account, rec *record, req *purchaseRequest, step *Step) reply {
	now := c.now
	if step != nil {
		now = s.cfg.Now() // the latency has passed
	}
	a.mu.Lock()
	if step != nil && step.Forget && rec.current != nil {
		rec.forgotten = append(rec.forgotten, rec.current)
		rec.current = nil
	}
	if rec.current == nil {
		rec.current = s.store(a, rec, req, step, now)
	}
	tx := rec.current
	a.settle(tx, now)
	if tx.id == "" {
		rec.refused++
	} else {
		rec.acted++
	}
	shape := s.cfg.PurchaseShape
	if step != nil && step.Shape != "" {
		shape = step.Shape
	}
	rep, state := tx.reply(shape), tx.state
	if tx.id == "" && s.cfg.LegacyErrors && tx.code == codeFieldsMissing {
		// "an older page shows … 1300 inside a 400"
		rep = failure(shape, http.StatusBadRequest, codeOldFieldsMissing, "")
	}
	a.mu.Unlock()
	if step != nil {
		if tx.id == "" {
			step = step.forRefusal()
		}
		rep = s.disturb(c, step, rep)
	}
	if state, ok := step.tells(state); ok {
		a.mu.Lock()
		rec.told(state, s.sequence.Add(1))
		a.mu.Unlock()
	}
	return rep
}

// forRefusal is the step for a purchase that the vendor does not take: the
// answer states the refusal, whatever was ordered, and only its way to the
// caller can still be disturbed.
func (s *Step) forRefusal() *Step {
	plain := *s
	plain.Code = ""
	if plain.Status < 400 {
		plain.Status = 0
	}
	if plain.Answer == AnswerEmpty || plain.Answer == AnswerContradiction {
		plain.Answer = AnswerResult
	}
	return &plain
}

// tells is the state that an answer conveys; ok is false for one that conveys
// none, because it is lost, unreadable, or leaves the outcome open.
func (s *Step) tells(state State) (told State, ok bool) {
	switch {
	case s == nil:
		return state, true
	case s.Answer == AnswerEmpty && s.Status == http.StatusAccepted:
		return Pending, true // "HTTP 202": in flight, with a body or without
	case s.Answer != AnswerResult:
		return "", false
	case s.Code != "" && s.Code != codeSuccess:
		return Failed, classOf(s.Code) == classTerminal
	case s.Status >= 400:
		return "", false
	case s.Status == http.StatusAccepted && !state.Open():
		return Pending, true
	default:
		return state, true
	}
}

// store makes the transaction, or the refusal that is kept in its place.
// a.mu must be held.
func (s *Simulator) store(a *account, rec *record, req *purchaseRequest, step *Step, now time.Time) *transaction {
	product, cost, refused := s.validate(a, req)
	if refused == nil && a.balance != nil && a.balance.Cmp(cost) < 0 {
		refused = &refusal{codeNoBalance, "Insufficient balance: available R" + a.balance.FloatString(2) +
			", required R" + cost.FloatString(2)}
	}
	if refused != nil {
		return &transaction{record: rec, state: Failed, code: refused.code, message: refused.message, created: now}
	}
	tx := s.newTransaction(req, product, cost, step, now)
	tx.record = rec
	a.byID[tx.id] = tx
	a.listed = append(a.listed, tx)
	if a.balance != nil && tx.state != Failed {
		a.balance.Sub(a.balance, cost)
	}
	switch {
	case tx.state == Completed:
		a.vends++
	case tx.state.Open():
		a.open[tx] = struct{}{}
	}
	return tx
}

// refusal is a purchase that the vendor does not take.
type refusal struct{ code, message string }

func refuse(code, detail string) *refusal {
	message := messageOf(code)
	if detail != "" {
		message += ": " + detail
	}
	return &refusal{code, message}
}

func (s *Simulator) fieldsMissing(names string) reply {
	if s.cfg.LegacyErrors {
		return failure(Flat, http.StatusBadRequest, codeOldFieldsMissing, "")
	}
	return failure(Flat, http.StatusOK, codeFieldsMissing, messageOf(codeFieldsMissing)+": "+names)
}

// validate applies the rules for fields, product and amount (pagamio-api.md,
// "Purchase": the table of fields; "Error codes").
func (s *Simulator) validate(a *account, req *purchaseRequest) (*Product, *big.Rat, *refusal) {
	if missing := req.missing("productCode", "amount", "paymentMethod", "channelId"); missing != "" {
		return nil, nil, refuse(codeFieldsMissing, missing)
	}
	if wrong := req.mistyped(); wrong != "" {
		return nil, nil, refuse(codeInvalidFormat, wrong)
	}
	product := s.catalog.product(req.productCode)
	switch {
	case product == nil:
		return nil, nil, refuse(codeInvalidProduct, "")
	case product.Unsupported:
		return nil, nil, refuse(codeNotSupported, "")
	case product.Inactive:
		return nil, nil, refuse(codeInactive, "")
	case len(product.Accounts) > 0 && !slices.Contains(product.Accounts, a.name):
		return nil, nil, refuse(codeNotForAccount, "")
	case len(a.cfg.Channels) > 0 && !slices.Contains(a.cfg.Channels, req.channelID):
		return nil, nil, refuse(codeWrongChannel, "")
	}
	if refused := req.checkCategoryFields(product.category()); refused != nil {
		return nil, nil, refused
	}
	cost, ok := parseAmount(req.amountText())
	if !ok || !product.takes(cost) {
		return nil, nil, refuse(codeInvalidAmount, "")
	}
	return product, cost, nil
}
