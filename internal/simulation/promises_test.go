package simulation

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/dedupe"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// known is how long something must have been stored before it is held against a
// call that was made all the same: the streams are asked half a second before a
// call, and the call cannot be called back.
const known = time.Second

// posting looks at the world when a purchase call begins, and when it is over.
func (w *world) posting(p *process, reference, value string) (over func()) {
	w.whilePaused(p, reference)
	before := time.Now().Add(-known)
	handoff, stored := w.handoff(reference)
	answered := handoff != nil && handoff.State == purchase.OpenInFlight && stored.Before(before) && !w.toldFromBefore(reference)
	ended := w.streams.results.newest(subjects.Result("acme", reference))

	w.mu.Lock()
	w.calling[reference]++
	at, asked := w.calling[reference], w.asked[reference][value]
	w.mu.Unlock()
	sound := w.fate.weather.sound()
	switch {
	case !asked:
		w.breach(reference, "%s: %s posts what nobody asked for: %s", reference, p.name, value)
	case at > 1 && sound:
		w.breach(reference, "%s: posted by %s while another call is under way, and nothing has failed", reference, p.name)
	case ended != nil && ended.stored.Before(before) && sound:
		w.breach(reference, "%s: posted by %s though its result is stored, and nothing has failed", reference, p.name)
	}
	return func() {
		w.mu.Lock()
		w.calling[reference]--
		w.mu.Unlock()
		if tx, there := w.vendor.at(reference); answered && there && tx.state == pending {
			w.breach(reference, "%s: posted by %s while it is open and its hand-off says so", reference, p.name)
		}
	}
}

// toldFromBefore reports whether a former leader has just told the process of the
// time before the hand-off, and nothing else knows of an answer: Redis names no
// transaction, as it was emptied or whoever handed over has died. Nobody can know
// better then.
func (w *world) toldFromBefore(reference string) bool {
	f := w.streams.pending.spell(known)
	return f != nil && f.reads && w.redis.At(dedupe.Key{Account: "acme", Reference: reference}).TxID == ""
}

// handoff is the newest hand-off of a purchase.
func (w *world) handoff(reference string) (*purchase.Handoff, time.Time) {
	m := w.streams.pending.newest(subjects.Pending("acme", reference))
	if m == nil {
		return nil, time.Time{}
	}
	h := new(purchase.Handoff)
	if err := json.Unmarshal(m.body, h); err != nil {
		panic(err)
	}
	return h, m.stored
}

func (w *world) result(reference string) *purchase.Result {
	m := w.streams.results.newest(subjects.Result("acme", reference))
	if m == nil {
		return nil
	}
	r := new(purchase.Result)
	if err := json.Unmarshal(m.body, r); err != nil {
		panic(err)
	}
	return r
}

func (w *world) buried(sequence uint64) *message {
	return w.streams.dead.newest(subjects.Dead("acme", sequence))
}

// ackedRequest looks at the world at the moment in which a request is
// acknowledged: what follows from it must be stored.
func (w *world) ackedRequest(m *message) {
	if w.buried(m.sequence) != nil {
		return
	}
	request, err := purchase.Parse(m.body, account)
	if err != nil {
		w.breach("", "request %d was acknowledged without its dead letter", m.sequence)
		return
	}
	handoff, _ := w.handoff(request.Reference)
	result := w.result(request.Reference)
	if (handoff == nil || handoff.RequestDigest != request.Digest) && (result == nil || result.RequestDigest != request.Digest) {
		w.breach(request.Reference, "request %d (%s) was acknowledged with neither hand-off, result nor dead letter", m.sequence, request.Reference)
	}
}

// ackedHandoff is the same for a hand-off, which is gone by now.
func (w *world) ackedHandoff(m *message) {
	var h purchase.Handoff
	if err := json.Unmarshal(m.body, &h); err != nil {
		panic(err)
	}
	if newer, _ := w.handoff(h.MerchantReference); newer != nil || w.buried(h.RequestSequence) != nil {
		return
	}
	if r := w.result(h.MerchantReference); r == nil || r.RequestDigest != h.RequestDigest {
		w.breach(h.MerchantReference, "%s: its hand-off was ended before its result or dead letter was stored", h.MerchantReference)
	}
}

// check holds the promises of the contract against what there is in the end.
func (w *world) check() {
	if n := w.streams.requests.open(); n > 0 {
		w.breach("", "%d requests were never acknowledged", n)
	}
	if n := w.streams.pending.open(); n > 0 {
		w.breach("", "%d hand-offs were never ended", n)
	}
	digests := map[string]purchase.Digest{} // by value
	values := map[purchase.Digest]string{}
	stored := map[asked]bool{}
	for _, m := range w.streams.requests.there() {
		dead := w.buried(m.sequence)
		request, err := purchase.Parse(m.body, account)
		if err != nil {
			w.checkBroken(m, dead)
			continue
		}
		ref, value := request.Reference, value(m.body)
		stored[asked{ref, value}] = true
		if was, there := digests[value]; there && was != request.Digest {
			w.breach(ref, "%s: one value has two digests", ref)
		}
		if was, there := values[request.Digest]; there && was != value {
			w.breach(ref, "%s: two values have one digest", ref)
		}
		digests[value], values[request.Digest] = request.Digest, value
		result := w.result(ref)
		switch ours := result != nil && result.RequestDigest == request.Digest; {
		case result == nil:
			w.breach(ref, "request %d: %s has no result", m.sequence, ref)
		case ours && dead != nil && w.fate.weather.forgets && w.fate.weather.reused:
			// Known, and not mended: two payloads under one reference, Redis is emptied
			// between them, and the other one's hand-off is taken for proof before the
			// poller finds out whose the result is. Seed 1800 is such a history.
		case ours && dead != nil:
			w.breach(ref, "request %d (%s) has a result and a dead letter", m.sequence, ref)
		case !ours && dead == nil:
			w.breach(ref, "request %d (%s) has neither result nor dead letter", m.sequence, ref)
		case dead != nil && publisher.Header(dead.header, publisher.HeaderReason) != string(purchase.ReasonConflict):
			w.breach(ref, "request %d (%s) is a dead letter for another reason than a conflict", m.sequence, ref)
		}
	}
	for _, a := range w.acked {
		if !stored[a] {
			w.breach(a.reference, "%s was acknowledged and is not stored", a.reference)
		}
	}
	seen := map[string]bool{}
	for _, m := range w.streams.results.there() {
		if seen[m.subject] {
			w.breach("", "%s has two results", m.subject)
		}
		seen[m.subject] = true
		reference := referenceOf(m.subject)
		w.checkResult(reference, w.result(reference), values)
	}
}

func (w *world) checkBroken(m, dead *message) {
	for _, b := range broken {
		if bytes.Equal(m.body, []byte(b.body)) && (dead == nil || publisher.Header(dead.header, publisher.HeaderReason) != b.reason) {
			w.breach("", "request %d is not a dead letter for %s", m.sequence, b.reason)
		}
	}
}

// checkResult holds a result against what the vendor has.
func (w *world) checkResult(ref string, r *purchase.Result, values map[purchase.Digest]string) {
	tx, there := w.vendor.at(ref)
	class := purchase.Class("")
	if r.Failure != nil {
		class = r.Failure.Class
	}
	// Where Redis forgets it cannot tell which of two payloads under one reference
	// reached the vendor first; one of them still ends as a conflict.
	if there && tx.value != values[r.RequestDigest] {
		if !w.fate.weather.forgets {
			w.breach(ref, "%s: the vendor has another payload than the result", ref)
		}
		return
	}
	// Known, and not mended: a message calls the vendor, its process dies, Redis is
	// emptied, and then a repeat of it is delivered for the first time that is to be
	// refused here (it has expired, or its look-up fails). Nothing tells that there
	// was a call. Seed 906 is such a history.
	refusedHere := r.Source == purchase.SourceExpiry || r.Source == purchase.SourceLookup || class == purchase.ClassAuthorization
	// The same without a repeat: a process stands still while it stores such an end,
	// its claim runs out, another calls, and then what was on the way is stored. It
	// gives up with its claim; what the network holds back cannot be taken back.
	// Seed 5671 is such a history, and 50210 one of what the network held back.
	_, late := w.streams.heldBack.Load(subjects.Result("acme", ref))
	if there && (w.fate.weather.forgets || w.fate.weather.pauses || late) && refusedHere {
		return
	}
	if !there {
		w.vendor.mu.Lock()
		refused := class == purchase.ClassExpired || class == purchase.ClassValidation && r.Source == purchase.SourceValidation ||
			class == purchase.ClassLookup && w.vendor.refused[ref] || class == purchase.ClassAuthorization && w.vendor.forbidden[ref] ||
			class == purchase.ClassBalance && w.vendor.broke[ref]
		w.vendor.mu.Unlock()
		if r.Status == purchase.StatusCompleted || !refused {
			w.breach(ref, "%s: the result says %s %s and the vendor never saw it", ref, r.Status, class)
		}
		return
	}
	switch {
	case tx.state == pending, (tx.state == completed) != (r.Status == purchase.StatusCompleted):
		w.breach(ref, "%s: the vendor says %s and the result %s %s", ref, stateNames[tx.state], r.Status, class)
	case r.TransactionID != "" && r.TransactionID != tx.id:
		w.breach(ref, "%s has the transaction of another", ref)
	case len(r.Receipt) > 0 && string(r.Receipt) != tx.receipt:
		w.breach(ref, "%s: the receipt is not what the vendor sent: %s", ref, r.Receipt)
	case tx.state == failed && r.ResponseCode != tx.code:
		w.breach(ref, "%s: the vendor's code is %s and the result's %s", ref, tx.code, r.ResponseCode)
	case !strings.Contains(values[r.RequestDigest], strings.Trim(string(r.Amount), `"`)) && len(r.Amount) == 0:
		w.breach(ref, "%s: the result lost the amount", ref)
	}
}
