package purchase

// ClaimState is what the dedupe store holds of a purchase. It is a hint and
// never proof: the streams are asked before anything rests on it.
type ClaimState string

const (
	// Absent: nothing is held. A new purchase, or one that Redis has lost.
	Absent ClaimState = ""
	// Claimed: one owner works on it, until its lease ends.
	Claimed ClaimState = "claimed"
	// Released: worked on and put back without an end. Whether a call may have
	// been made is kept.
	Released ClaimState = "released"
	// Pending: handed to the poller; a hand-off is stored.
	Pending ClaimState = "pending"
	// Settled: a result is stored.
	Settled ClaimState = "settled"
)

// transitions is the whole state machine of a claim. A state may always become
// itself. The step back from pending and settled to claimed is taken only
// after the streams were seen to hold neither hand-off nor result.
var transitions = map[ClaimState][]ClaimState{
	Absent:   {Claimed, Pending, Settled},
	Claimed:  {Released, Pending, Settled},
	Released: {Claimed, Pending, Settled},
	Pending:  {Settled, Claimed},
	Settled:  {Claimed},
}

// CanBecome reports whether a claim may go from s to next.
func (s ClaimState) CanBecome(next ClaimState) bool {
	if s == next {
		return true
	}
	for _, allowed := range transitions[s] {
		if allowed == next {
			return true
		}
	}
	return false
}

// Verdict is the answer to a claim.
type Verdict uint8

const (
	// ClaimNew: claimed; nothing was held before, or it had been released.
	ClaimNew Verdict = iota + 1
	// ClaimAgain: already held by the same owner; the lease is renewed.
	ClaimAgain
	// ClaimTakenOver: another owner's lease had ended; it may have made calls.
	ClaimTakenOver
	// ClaimInFlight: another owner works on it, for a known time at most.
	ClaimInFlight
	// ClaimPending: handed to the poller.
	ClaimPending
	// ClaimSettled: a result is stored.
	ClaimSettled
	// ClaimConflict: the reference is held for another payload.
	ClaimConflict
)

var verdictNames = [...]string{"", "new", "again", "taken_over", "in_flight", "pending", "settled", "conflict"}

// String is the verdict's name, as metrics give it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return ""
}

// Held reports whether the claim was granted.
func (v Verdict) Held() bool { return v == ClaimNew || v == ClaimAgain || v == ClaimTakenOver }
