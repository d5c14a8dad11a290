package simulator

import (
	"strconv"
	"strings"
)

// namedFault is a fault of the reference convention.
type namedFault struct {
	endpoint Endpoint
	steps    []Step
	times    int // as Fault.Times
}

// referenceMark stands before the name of a fault in a merchantReference.
const referenceMark = "sim-"

// namedSteps are the names without a figure in them. openFor stands for a For
// or HiddenFor of the configuration's open_for.
const openFor = Duration(-1)

var namedSteps = map[string]Step{
	"flat":             {Shape: Flat},
	"enveloped":        {Shape: Enveloped},
	"rejected":         {Code: codeProviderFailed, Rejection: true},
	"failed":           {Code: codeProviderFailed},
	"failed-enveloped": {Code: codeProviderFailed, Shape: Enveloped},

	"slow": {Latency: openFor},

	"pending":              {Stored: StoredPending, For: openFor},
	"pending-failed":       {Stored: StoredPending, For: openFor, Then: Failed, ThenCode: codeProviderFailed},
	"pending-enveloped":    {Stored: StoredPending, For: openFor, Shape: Enveloped},
	"pending-forever":      {Stored: StoredPending},
	"processing":           {Stored: StoredProcessing, For: openFor},
	"processing-failed":    {Stored: StoredProcessing, For: openFor, Then: Failed, ThenCode: codeProviderFailed},
	"accepted":             {Stored: StoredPending, For: openFor, Status: 202},
	"accepted-failed":      {Stored: StoredPending, For: openFor, Status: 202, Then: Failed, ThenCode: codeProviderFailed},
	"accepted-empty":       {Stored: StoredPending, For: openFor, Status: 202, Answer: AnswerEmpty},
	"late":                 {HiddenFor: openFor, Answer: AnswerReset, Stored: StoredCompleted},
	"pending-late":         {Stored: StoredPending, For: openFor, HiddenFor: openFor},
	"receipt-repost":       {Stored: StoredPending, For: openFor, Receipt: ReceiptRepost},
	"receipt-none":         {Stored: StoredPending, For: openFor, Receipt: ReceiptNone},
	"reset":                {Answer: AnswerReset},
	"reset-after":          {Answer: AnswerReset, Stored: StoredCompleted},
	"reset-after-failed":   {Answer: AnswerReset, Stored: StoredFailed, Code: codeProviderFailed},
	"reset-after-pending":  {Answer: AnswerReset, Stored: StoredPending, For: openFor},
	"timeout":              {Answer: AnswerHang},
	"timeout-after":        {Answer: AnswerHang, Stored: StoredCompleted},
	"garbage":              {Answer: AnswerGarbage},
	"garbage-before":       {Answer: AnswerGarbage, Stored: StoredNone},
	"truncated":            {Answer: AnswerTruncated},
	"empty":                {Answer: AnswerEmpty},
	"redirect":             {Answer: AnswerRedirect},
	"oversized":            {Answer: AnswerOversized},
	"contradiction":        {Answer: AnswerContradiction},
	"contradiction-failed": {Answer: AnswerContradiction, Stored: StoredFailed, Code: codeProviderFailed},
	"forget":               {Forget: true},
}

// FaultNames lists the names of the reference convention that hold no figure.
func FaultNames() []string {
	names := make([]string, 0, len(namedSteps))
	for name := range namedSteps {
		names = append(names, name)
	}
	return names
}

// parseNamed reads a whole name with its suffix: "[poll-]name[-xN]".
func parseNamed(name string, open Duration) (namedFault, bool) {
	f, rest, ok := scanNamed(name, open)
	return f, ok && rest == ""
}

// referenceFault reads the fault that a reference asks for. The name begins
// behind the first "sim-" and ends where no longer name would fit.
func referenceFault(reference string, open Duration) (namedFault, bool) {
	_, name, found := strings.Cut(reference, referenceMark)
	if !found {
		return namedFault{}, false
	}
	f, _, ok := scanNamed(name, open)
	return f, ok
}

// scanNamed reads the longest name at the start of text, and gives back what
// stands behind it. A name ends at the end or before a character that is
// neither letter nor digit.
func scanNamed(text string, open Duration) (f namedFault, rest string, ok bool) {
	f.endpoint = EndpointPurchase
	if after, isPoll := strings.CutPrefix(text, "poll-"); isPoll {
		f.endpoint, text = EndpointTransactions, after
	}
	var step Step
	length := 0
	for end := 1; end <= len(text); end++ {
		if end < len(text) && isAlphanumeric(text[end]) {
			continue
		}
		if s, known := stepByName(text[:end]); known {
			step, length = s, end
		}
	}
	if length == 0 {
		return namedFault{}, "", false
	}
	for _, d := range []*Duration{&step.Latency, &step.For, &step.HiddenFor} {
		if *d == openFor {
			*d = open
		}
	}
	f.steps, rest = []Step{step}, text[length:]
	f.times, rest = scanTimes(rest)
	if step.Forget && f.times == 1 {
		// The first call has nothing to forget yet.
		f.times = -1
	}
	return f, rest, true
}

// scanTimes reads "-xN": N calls are struck, 0 meaning all. Without it the fault
// strikes once.
func scanTimes(text string) (times int, rest string) {
	after, found := strings.CutPrefix(text, "-x")
	if !found {
		return 1, text
	}
	end := 0
	for end < len(after) && after[end] >= '0' && after[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(after[:end])
	if err != nil || (end < len(after) && isAlphanumeric(after[end])) {
		return 1, text
	}
	if n == 0 {
		n = -1
	}
	return n, after[end:]
}

// stepByName knows the names of namedSteps and those with a figure: an HTTP
// status with or without "-after", "fail-CODE" and "answer-CODE".
func stepByName(name string) (Step, bool) {
	if step, ok := namedSteps[name]; ok {
		return step, true
	}
	if code, ok := strings.CutPrefix(name, "fail-"); ok && isFigure(code) {
		return Step{Stored: StoredFailed, Code: code}, true
	}
	if code, ok := strings.CutPrefix(name, "answer-"); ok && isFigure(code) {
		return Step{Stored: StoredCompleted, Code: code}, true
	}
	if code, ok := strings.CutPrefix(name, "code-"); ok && isFigure(code) {
		return Step{Code: code}, true
	}
	figure, after := strings.CutSuffix(name, "-after")
	if len(figure) != 3 || !isFigure(figure) || figure < "400" || figure > "599" {
		return Step{}, false
	}
	status, err := strconv.Atoi(figure)
	if err != nil {
		return Step{}, false
	}
	step := Step{Status: status}
	if after {
		step.Stored = StoredCompleted
	}
	return step, true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isFigure(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 6
}
