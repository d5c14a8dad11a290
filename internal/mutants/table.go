package main

// edit replaces one text in one file. old occurs exactly once.
type edit struct{ file, old, new string }

// mutant is the program with one mistake in it.
type mutant struct {
	name  string
	units []string // packages whose own tests are to find it
	edits []edit
}

func one(name, file, old, new string, units ...string) mutant {
	return mutant{name, units, []edit{{file, old, new}}}
}

const publishes = "there, err := c.Writer.PublishResult(work, &result, j.trace)"

// mutants are mistakes that would lose a purchase, vend it twice or tell an
// untruth about it, or take away one of two guards against that.
var mutants = []mutant{
	one("ack before the result is stored", "consumer/ends.go", publishes, "_ = j.delivery.Acker.Ack(work)\n\t"+publishes, "./consumer"),
	one("hand-off removed before the result", "poller/job.go", publishes, "_ = j.delivery.Acker.Ack(work)\n\t"+publishes, "./poller"),
	one("subjects of results not unique", "internal/broker/topology.go", "c.MaxMsgsPerSubject = 1", "c.MaxMsgsPerSubject = -1", "./internal/broker"),
	one("no expected sequence on a write", "publisher/once.go", "jetstream.WithExpectLastSequencePerSubject(last),", "", "./publisher"),
	one("any server's list of hand-offs believed", "publisher/absence.go", "if !info.led() {", "if false {", "./publisher"),
	one("a page of the hand-offs taken for all", "publisher/absence.go", "info.Total != len(info.State.Subjects)", "false", "./publisher"),
	one("a list believed of a server that refuses to read", "publisher/absence.go", "\t\tif err != nil {\n\t\t\treturn nil\n\t\t}", "\t\tif err != nil {\n\t\t\treturn there\n\t\t}", "./publisher"),
	one("newer hand-offs not asked for", "publisher/absence.go", "\t\tif m == nil {\n", "\t\tif true {\n", "./publisher"),
	one("one of several copies believed", "publisher/absence.go", "&& i.single()", "", "./publisher"),
	one("a direct get believed that is not far enough", "publisher/absence.go", "upTo < sequence {", "upTo < 1 {", "./publisher"),
	one("the loss of a reply not noticed", "publisher/absence.go", "before != last {", "false {", "./publisher"),
	one("a mirror believed", "publisher/absence.go", "of != stream {", "of == \"\" {", "./publisher"),
	one("nobody shows whose answer it is", "publisher/absence.go", "there[witness]; !ok {", "there[witness]; !ok && false {", "./publisher"),
	one("publish time-out taken for stored", "publisher/once.go", "if err == nil && !ack.Duplicate {", "if ack == nil || !ack.Duplicate {", "./publisher"),
	one("another payload taken for a duplicate", "publisher/publisher.go", "if !done.Duplicate {", "if true {", "./publisher"),
	one("time-out of the vendor taken for a failure", "internal/vendor/classify.go", "return purchase.Outcome{Kind: purchase.Unknown, Cause: cause}",
		`return purchase.Outcome{Kind: purchase.Failed, Code: "999", Class: purchase.ClassOther, Cause: cause}`, "./internal/vendor"),
	one("429 taken for a failure", "internal/vendor/classify.go", "outcome := purchase.Outcome{Kind: kind, Message: a.message, Cause: statusError(status)}",
		"if kind == purchase.Limited {\n\t\tkind = purchase.Failed\n\t}\n\toutcome := purchase.Outcome{Kind: kind, Message: a.message, Cause: statusError(status)}\n\tif kind == purchase.Failed {\n\t\treturn outcome\n\t}", "./internal/vendor"),
	one("1200 taken for a failure", "internal/vendor/codes.go", `"1200": {purchase.Transient, ""},`, `"1200": {purchase.Failed, purchase.ClassProvider},`, "./internal/vendor"),
	one("1204 taken for a failure", "internal/vendor/codes.go", `"1204": {purchase.LookUp, ""},`, `"1204": {purchase.Failed, purchase.ClassProvider},`, "./internal/vendor"),
	one("not listed taken for a failure", "internal/vendor/transactions.go", "return purchase.Outcome{Kind: purchase.NotFound, Cause: errNotListed}",
		`return purchase.Outcome{Kind: purchase.Failed, Code: "999", Class: purchase.ClassOther, Cause: errNotListed}`, "./internal/vendor"),
	one("202 taken for unknown", "internal/vendor/codes.go", "{202, 202, byStatus, purchase.InFlight},", "{202, 202, byStatus, purchase.Unknown},", "./internal/vendor"),
	one("403 is always a failure", "consumer/decide.go", "\t\tif acted {\n\t\t\treturn stepHandOver\n\t\t}\n\t\treturn stepSettle", "\t\treturn stepSettle", "./consumer"),
	{"unknown after the attempts is a failure", []string{"./consumer"}, []edit{
		{"consumer/decide.go", "\t\tif tries < most {\n\t\t\treturn stepAgain\n\t\t}\n\t\treturn stepHandOver\n\t}\n}", "\t\tif tries < most {\n\t\t\treturn stepAgain\n\t\t}\n\t\treturn stepSettle\n\t}\n}"},
		{"consumer/decide.go", "if o.Kind == purchase.Forbidden {", "if !o.Kind.Terminal() {"},
	}},
	one("dedupe off", "consumer/job.go", "\tcase purchase.ClaimInFlight:\n\t\treturn worker.RetryAfter(max(busyRetry, j.answer.Wait))", "\tcase purchase.ClaimInFlight:\n\t\treturn j.held(work, stop)", "./consumer"),
	one("posted again after a non-terminal answer", "poller/decide.go", `if h.State == purchase.OpenUnknown && h.TransactionID == "" {`, "if true {", "./poller"),
	one("non-terminal answer handed over as unknown", "internal/purchase/handoff.go", "if o.Kind == InFlight {", "if o.Kind == Completed {", "./internal/purchase"),
	one("Redis believed: a repeat is acknowledged by the claim alone", "consumer/job.go", "return j.repeat(work, stop)", "return worker.Done()", "./consumer"),
	one("Redis believed: pending is acknowledged by the claim alone", "consumer/job.go", "case purchase.ClaimPending, purchase.ClaimSettled:", "case purchase.ClaimPending:\n\t\treturn worker.Done()\n\tcase purchase.ClaimSettled:", "./consumer"),
	one("Redis believed: conflict by the claim alone", "consumer/job.go", "return j.conflict(work)", "return j.bury(work, conflictRejection)", "./consumer"),
	{"streams not asked before a call", []string{"./consumer"}, []edit{
		{"consumer/job.go", "if len(asked) == 0 {", "if len(asked) >= 0 {"},
		{"consumer/job.go", "j.looked = time.Now()\n", "if j.looked = time.Now(); !j.looked.IsZero() {\n\t\treturn publisher.Known{}, nil\n\t}\n"},
	}},
	one("what the chunk was told serves every look", "consumer/job.go", "\t\tj.known = nil\n", "", "./consumer"),
	one("answers of a chunk mixed up", "consumer/job.go", "j.known, j.looked = &known[i], now", "j.known, j.looked = &known[i*0], now", "./consumer"),
	one("answers of a pipeline mixed up", "internal/combine/combine.go", "w.reply = replies[i]", "w.reply = replies[i*0]", "./internal/combine"),
	one("no second look before a call", "consumer/vend.go", "if !again && time.Since(j.looked) < lookAgain {", "if again = false; !again {", "./consumer"),
	one("float amounts", "internal/purchase/request.go", "isDecimal(m.text):\n\t\treturn m.text", "isDecimal(m.text):\n\t\tvar f float64\n\t\t_ = json.Unmarshal([]byte(m.text), &f)\n\t\tb, _ := json.Marshal(f)\n\t\treturn string(b)", "./internal/purchase"),
	one("digest overlooks a field", "internal/purchase/request.go", "parts = append(parts, part{name, value})", "if name != fieldAdditional {\n\t\t\tparts = append(parts, part{name, value})\n\t\t}", "./internal/purchase"),
	one("digest compares spellings", "internal/purchase/request.go", "value = parseNumber(literal).appendCanonical(nil)", "value = []byte(literal)", "./internal/purchase"),
	one("receipt encoded anew", "internal/purchase/result.go", "result.ResponseCode = CodeSuccess\n\t\tresult.Receipt = o.Receipt", "result.ResponseCode = CodeSuccess\n\t\tvar receipt any\n\t\tif json.Unmarshal(o.Receipt, &receipt) == nil {\n\t\t\tresult.Receipt, _ = json.Marshal(receipt)\n\t\t}", "./internal/purchase"),
	one("expires after a call", "consumer/vend.go", "return !j.acted && !j.expires.IsZero()", "return !j.expires.IsZero()", "./consumer"),
	one("claim does not say that a call may follow", "consumer/job.go", "Sends: j.refusal == nil && j.expires.IsZero(),", "", "./consumer"),
	one("second delivery not marked", "consumer/vend.go", "if j.expires.IsZero() || j.acted && j.marked {", "if j.expires.IsZero() || j.acted {", "./consumer"),
	one("lease not renewed", "consumer/leases.go", "\t\t\tl.extend(ctx)", "", "./consumer"),
	one("lease not looked at before a call", "consumer/leases.go", "if lost || left <= 0 {", "if lost && left < -time.Hour {", "./consumer"),
	{"lease of another not respected", []string{"./internal/dedupe/..."}, []edit{
		{"internal/dedupe/scripts.go", "local held = owner ~= ARGV[1] and lease > now", "local held = false"},
		{"internal/dedupe/dedupetest/memory.go", "return r.Owner != owner && r.Lease.After(now)", "return false"},
	}},
	one("records of a command mixed up", "internal/dedupe/run.go", "replies[i] = reply{answer: answers[k]}", "replies[i] = reply{answer: answers[k*0]}", "./internal/dedupe"),
	one("one server taken for granted", "internal/dedupe/together.go", "case err == nil && there == probeKeys:", "case err == nil && there > 0:", "./internal/dedupe"),
	one("one server taken for granted for ever", "internal/dedupe/together.go", "since < 0 || since > probeAgain", "since < 0", "./internal/dedupe"),
	one("another server taken for the one that was tried", "internal/dedupe/run.go", "\t\t\ts.forgetSpread() // it may be another server\n", "", "./internal/dedupe"),
	one("calls with other arguments in one command", "internal/dedupe/run.go", "of := kind{calls[i].script, len(calls[i].args)}", "of := kind{calls[i].script, 0}", "./internal/dedupe"),
	one("claim not released", "consumer/job.go", "if _, err := j.c.config.Claims.Release(ctx, j.hold.claim, j.attempts, j.acted); err != nil {", "if err := ctx.Err(); err != nil {", "./consumer"),
	one("release forgets that a call may have been made", "consumer/job.go", "j.hold.claim, j.attempts, j.acted); err", "j.hold.claim, j.attempts, false); err", "./consumer"),
	one("a hand-off that is not seen is taken for ended", "poller/repost.go", "case newest > j.delivery.Sequence:", "case newest != j.delivery.Sequence:", "./poller"),
	one("a former leader believed over Redis: settled", "consumer/job.go", "wait := formerLeader - time.Since(note.unseen); wait > 0 {", "wait := formerLeader - time.Since(note.unseen); wait > formerLeader {", "./consumer"),
	one("a former leader believed over Redis: answered", "poller/repost.go", "j.post(work, stop, true)", "j.post(work, stop, false)", "./poller"),
	one("a transaction that Redis names is not asked for", "consumer/job.go", "j.answered = j.answered || j.answer.TransactionID != \"\"", "", "./consumer"),
	one("a delivery without a claim counts as a call", "consumer/job.go", "return j.delivery.Count-1 > j.c.notes.get(j.delivery).unclaimed", "return j.delivery.Count > 1", "./consumer"),
	one("posting again takes no right", "poller/repost.go", "case !held.Ours:", "case !held.Ours && claim.Owner == \"\":", "./poller"),
	one("a scan passes over what comes meanwhile", "internal/broker/handoffs.go", "\t\t\tbreak\n\t\t}\n\t\tif d.Sequence <= last", "\t\t\tcontinue\n\t\t}\n\t\tif d.Sequence <= last", "./internal/broker"),
	one("a hand-off is ended by its sequence alone", "internal/broker/handoffs.go", " || there[0].Subject != subject", "", "./internal/broker"),
	one("a silence takes a hand-off out of the index", "internal/due/source.go", "\tcase !before:\n", "\tcase !before && first.After(now):\n", "./internal/due"),
	one("Redis' loss of the index not noticed", "internal/due/source.go", "s.scan.next > 0 && (", "false && (", "./internal/due"),
	one("the cursor of the index moves over a gap", "internal/due/index.go", " and tonumber(ARGV[2]) <= sequence then", " then", "./internal/due"),
	one("the whole stream of hand-offs never read again", "internal/due/scan.go", "s.sweep, s.sweepAt = reader{}, time.Now().Add(sweepEvery)", "s.sweep, s.sweepAt = reader{}, time.Now().Add(1000*sweepEvery)", "./internal/due"),
	one("another poller's progress taken for a lost end", "internal/due/scan.go", "if state, err = s.c.Stream.State(ctx); err != nil {", "if err != nil {", "./internal/due"),
}
