package vendor

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// hostile answers every call but a login with a body of any size.
type hostile struct{ body func() io.Reader }

func (h hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	body := io.Reader(strings.NewReader(`{"accessToken":"t","expiresIn":1800,"userTypeId":"1"}`))
	if !strings.HasPrefix(r.URL.Path, "/auth") {
		body = h.body()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1, Request: r}, nil
}

// endless repeats a text without an end.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

// An answer of any size or depth costs bounded memory, and proves nothing.
func TestEndlessAnswers(t *testing.T) {
	const block = 4096 // repeats of a text that are read at once
	for name, text := range map[string]string{
		"text": "x", "depth": `{"data":`, "array": "[", "items": `{"transactionId":"T"},`, "string": `"`, "digits": "1",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Config{
				Account: "acme", BaseURL: "http://vendor", Username: "u", Password: "p", MerchantID: "1",
				Transport: hostile{func() io.Reader { return io.MultiReader(strings.NewReader("["), endless{strings.Repeat(text, block)}) }},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			calls := map[string]func() purchase.Outcome{
				"purchase":     func() purchase.Outcome { return c.Purchase(t.Context(), "r", []byte("{}")) },
				"transactions": func() purchase.Outcome { return c.Transaction(t.Context(), "T", "r") },
				"lookup": func() purchase.Outcome {
					o, _ := c.Lookup(t.Context(), purchase.LookupElectricity, []byte("{}"))
					return o
				},
				"products": func() purchase.Outcome {
					if _, err := c.Products(t.Context()); err == nil {
						return purchase.Outcome{Kind: purchase.Completed}
					}
					return purchase.Outcome{}
				},
			}
			for call, make := range calls {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				outcome := make()
				runtime.ReadMemStats(&after)
				if outcome.Kind != purchase.Unknown {
					t.Errorf("%s: %s", call, outcome.Kind)
				}
				// The largest limit is 8 MiB, and reading doubles its buffer as it grows.
				if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20 {
					t.Errorf("%s: %d MiB for an answer without an end", call, spent>>20)
				}
			}
		})
	}
}

// A list at the limit, of the smallest items there are, is read in bounded memory too.
func TestLargestLists(t *testing.T) {
	for name, item := range map[string]string{"empty": "{}", "nested": strings.Repeat("[", 4000) + strings.Repeat("]", 4000), "keys": `{"a":1,"b":2,"c":3}`} {
		body := []byte("[" + strings.Repeat(item+",", maxTransactionsAnswer/(len(item)+1)-1) + item + "]")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		outcome := classifyTransactions(200, body, byID)
		runtime.ReadMemStats(&after)
		if outcome.Kind.Terminal() {
			t.Errorf("%s: %s", name, outcome.Kind)
		}
		if spent := (after.TotalAlloc - before.TotalAlloc) / uint64(len(body)); spent > 1000 {
			t.Errorf("%s: %d bytes for each byte of the answer", name, spent)
		}
	}
}
