package purchase_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestParseRejectsWhatIsNotOneObject(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                "",
		"white space":            " \n\t",
		"null":                   "null",
		"number":                 "50",
		"string":                 `"{}"`,
		"array":                  `[{"merchantReference":"r-1"}]`,
		"cut off":                electricity[:len(electricity)-1],
		"cut off in a string":    `{"merchantReference":"r`,
		"cut off in an escape":   `{"merchantReference":"\u00`,
		"a second object":        electricity + electricity,
		"a trailing comma":       with(`"x":1,`),
		"trailing letters":       electricity + "x",
		"trailing NUL":           electricity + "\x00",
		"leading BOM":            "\ufeff" + electricity,
		"trailing BOM":           electricity + "\ufeff",
		"leading NUL":            "\x00" + electricity,
		"NUL between":            "{\x00" + electricity[1:],
		"NUL in a string":        with("\"x\":\"\x00\""),
		"line end in a string":   with("\"x\":\"a\nb\""),
		"no-break space between": "{\u00a0" + electricity[1:],
		"vertical tab between":   "{\v" + electricity[1:],
		"invalid byte":           with("\"x\":\"\xff\""),
		"invalid byte in a key":  with("\"\xc3\":1"),
		"encoded surrogate":      with("\"x\":\"\xed\xa0\x80\""),
		"overlong encoding":      with("\"x\":\"\xc0\xaf\""),
		"invalid byte outside":   electricity + "\xff",
		"single quotes":          `{'merchantReference':'r-1'}`,
		"bare key":               `{merchantReference:"r-1"}`,
		"comment":                `{/**/"merchantReference":"r-1"}`,
		"leading zero":           with(`"amount":050`),
		"plus sign":              with(`"amount":+50`),
		"no digit before point":  with(`"amount":.5`),
		"no digit after point":   with(`"amount":5.`),
		"hexadecimal":            with(`"amount":0x32`),
		"NaN":                    with(`"amount":NaN`),
		"Infinity":               with(`"amount":-Infinity`),
		"empty exponent":         with(`"amount":5e`),
		"capital literal":        with(`"x":True`),
		"unknown escape":         with(`"x":"\x41"`),
	} {
		t.Run(name, func(t *testing.T) {
			if got := rejected(t, body).Reason; got != purchase.ReasonMalformed {
				t.Errorf("reason %q, want malformed", got)
			}
		})
	}
}

func TestParseRejectsAKeyThatStandsTwice(t *testing.T) {
	for name, members := range map[string]string{
		"at the top":                  `"x":1,"x":1`,
		"at the top, apart":           `"x":1,"y":2,"x":3`,
		"at the top, escaped":         `"amount":50,"\u0061mount":50`,
		"at the top, the reference":   `"merchantReference":"r-1"`,
		"at the top, empty":           `"":1,"":2`,
		"in an object":                `"x":{"a":1,"a":2}`,
		"in an object, apart":         `"x":{"a":1,"b":2,"a":3}`,
		"in an object, escaped":       `"x":{"a":1,"\u0061":2}`,
		"in an object, a slash":       `"x":{"/":1,"\/":2}`,
		"in an object, a hex digit":   `"x":{"\u00e9":1,"\u00E9":2}`,
		"in an object, plain and not": `"x":{"é":1,"\u00e9":2}`,
		"in an object, a pair":        `"x":{"😀":1,"\ud83d\ude00":2}`,
		"in an object, lone":          `"x":{"\ud83d":1,"\uD83D":2}`,
		"in an object, empty":         `"x":{"":1,"":2}`,
		"in an array":                 `"x":[0,{"a":1,"a":2}]`,
		"deep":                        `"x":{"y":[{"z":{"a":1,"b":{},"a":2}}]}`,
		"below an unsorted object":    `"x":{"b":{"c":1,"c":2},"a":0}`,
		"at depth 9,000":              `"x":` + strings.Repeat("[", 8998) + `{"a":1,"a":2}` + strings.Repeat("]", 8998),
	} {
		t.Run(name, func(t *testing.T) {
			got := rejected(t, with(members))
			if got.Reason != purchase.ReasonMalformed || !strings.Contains(got.Detail, "twice") {
				t.Errorf("got %v, want malformed for a key that stands twice", got)
			}
		})
	}
}

func TestDetailOfAKeyThatStandsTwiceFitsAHeader(t *testing.T) {
	key := `\u000d\u000aNats-Rollup: all\u0000é\ud800` + strings.Repeat("k", 1000)
	detail := rejected(t, with(`"`+key+`":"secret","`+key+`":"secret"`)).Detail
	if len(detail) > 300 {
		t.Errorf("the detail has %d bytes", len(detail))
	}
	for i := range len(detail) {
		if detail[i] < 0x20 || detail[i] > 0x7e {
			t.Fatalf("the detail holds byte %#x: %q", detail[i], detail)
		}
	}
	if strings.Contains(detail, "secret") {
		t.Errorf("the detail holds a value: %q", detail)
	}
}

func TestKeysThatOnlyLookAlikeAreNotTheSame(t *testing.T) {
	for name, members := range map[string]string{
		"case":                        `"x":1,"X":1`,
		"case of a field":             `"amount":50,"Amount":"x","MERCHANTREFERENCE":5`,
		"in other objects":            `"x":{"a":{"a":1}},"a":[{"a":1},{"a":1}]`,
		"composed and not":            `"\u00e9":1,"e\u0301":1`,
		"lone surrogates":             `"\ud800":1,"\ud801":1,"\udc00":1`,
		"a lone surrogate, U+FFFD":    `"\ud800":1,"\ufffd":1`,
		"pair and its halves swapped": `"\ud83d\ude00":1,"\ude00\ud83d":1`,
		"with a NUL behind":           `"x":1,"x\u0000":1`,
	} {
		t.Run(name, func(t *testing.T) {
			mustParse(t, with(members), acme)
			mustParse(t, with(`"nested":{`+members+`}`), acme)
		})
	}
}

func TestParseLimitsTheSize(t *testing.T) {
	mustParse(t, padded(purchase.MaxBody), acme)
	if got := rejected(t, padded(purchase.MaxBody+1)).Reason; got != purchase.ReasonTooLarge {
		t.Errorf("64 KiB + 1: reason %q, want too_large", got)
	}
	spaced := electricity + strings.Repeat(" ", purchase.MaxBody-len(electricity))
	mustParse(t, spaced, acme)
	if got := rejected(t, spaced+" ").Reason; got != purchase.ReasonTooLarge {
		t.Errorf("white space counts too: reason %q, want too_large", got)
	}
}

func TestParseLimitsTheNesting(t *testing.T) {
	objects := func(n int) string {
		return with(`"x":` + strings.Repeat(`{"":`, n) + "0" + strings.Repeat("}", n))
	}
	mustParse(t, nested(9000), acme)
	mustParse(t, objects(8999), acme)
	for name, body := range map[string]string{
		"arrays, one more":               nested(9001),
		"objects, one more":              objects(9000),
		"arrays, more than the standard": nested(10_001),
		"arrays, never closed":           `{"x":` + strings.Repeat("[", 60_000),
	} {
		if got := rejected(t, body).Reason; got != purchase.ReasonMalformed {
			t.Errorf("%s: reason %q, want malformed", name, got)
		}
	}
}

// hostileBodies are at most 64 KiB each and made to cost as much as they can.
func hostileBodies() map[string]string {
	repeat := strings.Repeat
	var descending, equal strings.Builder
	for i := 7000; i > 0; i-- {
		descending.WriteString(`"` + strconv.FormatInt(int64(i), 16) + `":0,`)
		equal.WriteString(`"a":0,`)
	}
	return map[string]string{
		"deep unsorted objects": with(`"x":` + repeat(`{"b":`, 5900) + "0" + repeat(`,"":0}`, 5900)),
		"deep unsorted objects around a text that grows": with(`"x":` + repeat(`{"b":`, 3200) + `"` + repeat(`\b`, 15_000) + `"` +
			repeat(`,"":0}`, 3200)),
		"deep objects with a key that stands twice": with(`"x":` + repeat(`{"b":`, 5900) + "0" + repeat(`,"b":0`, 1) + "}" + repeat(`,"":0}`, 5899)),
		"deepest arrays":            nested(9000),
		"a wide unsorted object":    with(`"x":{` + descending.String() + `"":0}`),
		"a wide unsorted top":       with(descending.String() + `"":0`),
		"one key thousands of time": with(`"x":{` + equal.String() + `"":0}`),
		"many numbers":              with(`"x":[` + repeat("1,", 32_000) + "1]"),
		"many exponents":            with(`"x":[` + repeat("1e99,", 12_000) + "1]"),
		"a long exponent":           with(`"amount":1e` + repeat("9", 65_000)),
		"a long negative exponent":  with(`"amount":1e-` + repeat("9", 65_000)),
		"an exponent of zeros":      with(`"amount":1e` + repeat("0", 65_000) + "1"),
		"long digits":               with(`"amount":` + repeat("9", 65_000)),
		"long digits in a string":   with(`"amount":"` + repeat("9", 65_000) + `"`),
		"a long fraction":           with(`"amount":0.` + repeat("0", 65_000) + "1"),
		"a long key":                with(`"` + repeat("k", 65_000) + `":0`),
		"surrogates":                with(`"x":"` + repeat(`\ud800`, 10_900) + `"`),
	}
}

// The cost of a body must not grow with its nesting. Bytes allocated are a
// measure that does not depend on the machine; the time is a rough guard.
func TestHostileBodiesHaveABoundedCost(t *testing.T) {
	const maxAllocated, maxTime = 32 << 20, 3 * time.Second
	for name, body := range hostileBodies() {
		t.Run(name, func(t *testing.T) {
			if len(body) > purchase.MaxBody {
				t.Fatalf("the body has %d bytes", len(body))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			r, err := purchase.Parse([]byte(body), acme)
			if err == nil {
				_ = r.Validate()
				_ = r.VendorBody()
			}
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > maxAllocated {
				t.Errorf("%d bytes allocated, at most %d", got, maxAllocated)
			}
			if took > maxTime {
				t.Errorf("took %v, at most %v", took, maxTime)
			}
		})
	}
}
