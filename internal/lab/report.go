package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/output"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/publisher"
)

// report is what the demo tells of its run. Its figures are counted from the
// evidence alone.
type report struct {
	plan     *plan
	sent     sent
	evidence Evidence
	breaches []Breach
	took     time.Duration

	results map[Key]*purchase.Result
	sales   map[Key]Sale
}

func newReport(p *plan, s sent, e Evidence) *report {
	r := &report{
		plan: p, sent: s, evidence: e, breaches: Check(e),
		results: map[Key]*purchase.Result{}, sales: map[Key]Sale{},
	}
	for _, m := range e.Results {
		if result, err := decodeResult(m.Data); err == nil { // else the check has told it
			r.results[Key{result.Account, result.MerchantReference}] = result
		}
	}
	for _, sale := range e.Sales {
		r.sales[Key{sale.Account, sale.Reference}] = sale
	}
	return r
}

// print writes the tables, the receipt and the summary. Where a program reads
// standard output it gets every result and nothing else.
func (r *report) print(o DemoOptions) error {
	people := o.Stdout
	if o.Format != output.Table {
		people = o.Stderr
		if err := r.everyResult(o.Stdout, o.Format); err != nil {
			return err
		}
	} else {
		if err := r.cases(o.Stdout); err != nil {
			return err
		}
		fmt.Fprintln(o.Stdout)
		if err := r.categories(o.Stdout); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(people, "\n"+r.receipt()+"\n"+r.summary())
	return err
}

var resultColumns = []string{
	"account", "merchantReference", "productCode", "amount", "status", "transactionId",
	"responseCode", "class", "source", "attempts", "requestedAt", "resolvedAt",
}

// everyResult prints the results as they are on the stream; csv leaves out the
// receipt, whose fields differ.
func (r *report) everyResult(out io.Writer, format output.Format) error {
	w := output.NewWriter(out, format, resultColumns...)
	for _, m := range r.evidence.Results {
		result, err := decodeResult(m.Data)
		if err != nil {
			continue
		}
		class := ""
		if result.Failure != nil {
			class = string(result.Failure.Class)
		}
		err = w.Record(json.RawMessage(m.Data), []string{
			result.Account, result.MerchantReference, text(result.ProductCode), text(result.Amount),
			string(result.Status), result.TransactionID, result.ResponseCode, class, string(result.Source),
			strconv.Itoa(result.Attempts), result.RequestedAt.Format(time.RFC3339Nano), result.ResolvedAt.Format(time.RFC3339Nano),
		})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// tally sums up the purchases of one line.
type tally struct {
	purchases, completed, failed int
	calls, polls                 int
	codes, sources               []string
}

func (t *tally) add(result *purchase.Result, sale Sale) {
	t.purchases++
	t.calls += sale.Calls
	t.polls += sale.Polls
	if result == nil {
		return
	}
	note := func(list *[]string, value string) {
		if !slices.Contains(*list, value) {
			*list = append(*list, value)
		}
	}
	note(&t.sources, string(result.Source))
	if result.Status == purchase.StatusCompleted {
		t.completed++
		return
	}
	t.failed++
	if result.Failure != nil {
		note(&t.codes, result.ResponseCode+" "+string(result.Failure.Class))
	}
}

// count is a number in a table: nothing where it is 0.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// cases is the table by what happened. Receipts are in no table.
func (r *report) cases(out io.Writer) error {
	tallies := map[string]*tally{}
	for _, one := range r.plan.purchases {
		name := one.kase.group + "/" + one.kase.name
		if tallies[name] == nil {
			tallies[name] = &tally{}
		}
		key := Key{one.account, one.reference}
		tallies[name].add(r.results[key], r.sales[key])
	}
	w := output.NewWriter(out, output.Table, "", "what happens", "asked", "completed", "failed", "code and class", "settled by", "calls", "polls")
	group := ""
	for _, k := range cases {
		t := tallies[k.group+"/"+k.name]
		if t == nil {
			continue
		}
		head := " "
		if k.group != group {
			group, head = k.group, k.group
		}
		slices.Sort(t.codes)
		slices.Sort(t.sources)
		err := w.Record(nil, []string{
			head, k.name, count(t.purchases), count(t.completed), count(t.failed),
			strings.Join(t.codes, ", "), strings.Join(t.sources, ", "), count(t.calls), count(t.polls),
		})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// categories is the table by what was bought.
func (r *report) categories(out io.Writer) error {
	w := output.NewWriter(out, output.Table, "category", "asked", "completed", "failed", "calls", "polls")
	for _, name := range categoryNames() {
		t := &tally{}
		for _, one := range r.plan.purchases {
			if one.category == name {
				key := Key{one.account, one.reference}
				t.add(r.results[key], r.sales[key])
			}
		}
		if t.purchases == 0 {
			continue
		}
		err := w.Record(nil, []string{name, count(t.purchases), count(t.completed), count(t.failed), count(t.calls), count(t.polls)})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// receipt is one electricity receipt, the newer form where there is one.
func (r *report) receipt() string {
	slip := ""
	for _, one := range r.plan.purchases {
		result := r.results[Key{one.account, one.reference}]
		if one.category != "ELE" || result == nil {
			continue
		}
		if s := receiptText(result); s != "" && (slip == "" || text(result.ProductCode) == "ELE-CTP-001") {
			slip = s
			if text(result.ProductCode) == "ELE-CTP-001" {
				break
			}
		}
	}
	return slip
}

// summary says what became of it all.
func (r *report) summary() string {
	all, polled, byPoll, retried, again := &tally{}, 0, 0, 0, 0
	for key, result := range r.results {
		sale := r.sales[key]
		all.add(result, sale)
		if sale.Polls > 0 {
			polled++
		}
		if result.Source == purchase.SourcePoll {
			byPoll++
		}
		if sale.Calls > 1 {
			retried++
			again += sale.Calls - 1
		}
	}
	vends := 0
	for _, sale := range r.evidence.Sales {
		vends += sale.Vends
	}
	reasons := map[string]int{}
	for _, m := range r.evidence.Dead {
		reasons[publisher.Header(m.Header, publisher.HeaderReason)]++
	}
	var dead []string
	for _, reason := range []purchase.Reason{
		purchase.ReasonTooLarge, purchase.ReasonMalformed, purchase.ReasonInvalidReference,
		purchase.ReasonUnknownAccount, purchase.ReasonConflict,
	} {
		if n := reasons[string(reason)]; n > 0 {
			dead = append(dead, fmt.Sprintf("%d %s", n, reason))
		}
	}
	repeats := len(r.evidence.Requests) - len(r.evidence.Dead) - len(r.evidence.Results)
	var s strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("asked", "%d purchases of %d accounts, in %d messages", len(r.plan.purchases), len(r.evidence.Accounts), r.sent.messages)
	line("settled", "%d COMPLETED, %d FAILED; the vendor vended %d", all.completed, all.failed, vends)
	line("deduplicated", "%d repeats: %d by JetStream, %d by the consumer", r.sent.dropped+repeats, r.sent.dropped, repeats)
	line("retried", "%d purchases, with %d further calls", retried, again)
	line("polled", "%d purchases, with %d polls; %d were settled by them", polled, all.polls, byPoll)
	line("dead-lettered", "%d: %s", len(r.evidence.Dead), strings.Join(dead, ", "))
	if len(r.breaches) == 0 {
		line("promises", "all kept, by %d requests, %d results, %d dead letters and the vendor's ledger",
			len(r.evidence.Requests), len(r.evidence.Results), len(r.evidence.Dead))
	} else {
		line("promises", "BROKEN: %d breaches", len(r.breaches))
	}
	line("time", "%.1f s", r.took.Seconds())
	return s.String()
}
