package vendor

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// naive is a reading of a JSON object that shares nothing with the one tested.
func naive(t *testing.T, body []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("a terminal outcome of a body that is not an object: %v", err)
	}
	return all
}

func spelled(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// levels are the object itself and what stands under the names given.
func levels(all map[string]any, names ...string) []map[string]any {
	found := []map[string]any{all}
	for _, name := range names {
		if inner, ok := all[name].(map[string]any); ok {
			found = append(found, inner)
		}
	}
	return found
}

func FuzzPurchaseAnswer(f *testing.F) {
	for _, body := range []string{
		completedBody,
		`{"success":true,"data":{"transactionId":1,"status":"COMPLETED","responseCode":0,"receipt":{"n":30.0000}}}`,
		`{"responseCode":"1103","responseMessage":"m","successful":false,"rejectionCode":"1103","rejectionReason":"r"}`,
		`{"success":false,"error":{"code":1103,"message":"m"}}`,
		`{"error":"Too Many Requests","message":"m"}`,
		`{"responseCode":"0","successful":false}`,
		`{"responseCode":"0","ResponseCode":"1103"}`,
		`{"responseCode":"0","data":{"status":"FAILED"}}`,
		`{"responseCode":"PENDING","transactionId":"T"}`,
		`{"responseCode":"0","merchantReference":"other"}`,
		`{"\u0072esponseCode":"0"}`, `[]`, `null`, ``, `{`, `{"a":{"b":[1,{"c":null}]}}`,
	} {
		for _, status := range []int{200, 202, 400, 409, 500} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := classify(status, body, ref)
		if lookup, _ := classifyLookup(status, body); lookup.Kind == purchase.NotFound {
			t.Fatal("a lookup cannot find nothing")
		}
		if !got.Kind.Terminal() {
			if got.Receipt != nil {
				t.Fatalf("%s with a receipt", got.Kind)
			}
			return
		}
		all := naive(t, body)
		var codes []string
		for _, level := range levels(all, "data") {
			for _, flag := range []string{"success", "successful"} {
				if value, there := level[flag].(bool); there && value != (got.Kind == purchase.Completed) {
					t.Fatalf("%s against %s:%v", got.Kind, flag, value)
				}
			}
			if word := spelled(level["status"]); word != "" && word != map[purchase.OutcomeKind]string{purchase.Completed: "COMPLETED", purchase.Failed: "FAILED"}[got.Kind] {
				t.Fatalf("%s against status %s", got.Kind, word)
			}
			if own := spelled(level["merchantReference"]); own != "" && own != ref {
				t.Fatalf("%s of another reference", got.Kind)
			}
			if got.Kind == purchase.Completed && level["error"] != nil && level["error"] != "" {
				t.Fatalf("completed with an error: %v", level["error"])
			}
			for _, inner := range levels(level, "error") {
				codes = append(codes, spelled(inner["responseCode"]), spelled(inner["code"]), spelled(inner["rejectionCode"]))
			}
		}
		if !slices.Contains(codes, got.Code) {
			t.Fatalf("%s with a code that is not there: %q", got.Kind, got.Code)
		}
		if got.Kind == purchase.Completed && (got.Code != "0" || status < 200 || status > 299) {
			t.Fatalf("completed by status %d and code %q", status, got.Code)
		}
		if got.Kind == purchase.Failed && (got.Class == "" || slices.Contains([]string{"", "0", "1006", "1204", "1205", "1200", "1201", "1202"}, got.Code)) {
			t.Fatalf("failed by code %q, class %q", got.Code, got.Class)
		}
		if got.Receipt != nil && !bytes.Contains(body, got.Receipt) {
			t.Fatal("the receipt is not as it was sent")
		}
	})
}

func FuzzTransactionsAnswer(f *testing.F) {
	for _, body := range []string{
		page(`{"id":1,"status":{"code":0,"label":"COMPLETED"},"transactionId":"T1","receipt":{"n":1.0}}`),
		page(`{"status":{"code":"3"},"transactionId":"T1","merchantReference":"REF-1","responseCode":"1103"}`),
		page(`{"status":{"code":1},"merchantReference":"REF-1"}`, `{"status":{"code":2},"transactionId":"T1"}`),
		`[{"status":{"code":0},"transactionId":"T1"},{"status":{"code":3},"transactionId":"T1"}]`,
		`[{"status":{"code":0,"code":3},"transactionId":"T1"}]`,
		page(), `[]`, `null`, ``, `{"content":{}}`, `[7]`, `[{"transactionId":{}}]`,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, withID bool) {
		q := byReference
		if withID {
			q = byID
		}
		got := classifyTransactions(200, body, q)
		if !got.Kind.Terminal() {
			return
		}
		list := bytes.TrimSpace(body)
		if list[0] == '{' {
			var whole struct {
				Content json.RawMessage `json:"content"`
			}
			if err := json.Unmarshal(body, &whole); err != nil {
				t.Fatal(err)
			}
			list = whole.Content
		}
		decoder := json.NewDecoder(bytes.NewReader(list))
		decoder.UseNumber()
		var items []map[string]any
		if err := decoder.Decode(&items); err != nil {
			t.Fatal(err)
		}
		want := map[purchase.OutcomeKind]string{purchase.Completed: "0", purchase.Failed: "3"}[got.Kind]
		matched := 0
		for _, item := range items {
			if withID && spelled(item["transactionId"]) != "T1" || !withID && spelled(item["merchantReference"]) != ref {
				continue
			}
			matched++
			status, _ := item["status"].(map[string]any)
			if spelled(status["code"]) != want {
				t.Fatalf("%s by an item of status %v", got.Kind, item["status"])
			}
		}
		if matched == 0 {
			t.Fatalf("%s by no item", got.Kind)
		}
	})
}

func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{
		grantBody("a", "r"), `{"accessToken":"a","expiresIn":1800}`, `{"accessToken":"a\n"}`,
		`{"successful":false,"data":{"token":"a"}}`, `{"data":{}}`, `[]`, ``, `{"accessToken":1,"expiresIn":"1e9"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readGrant(body)
		if err != nil {
			if got != (grant{}) {
				t.Fatalf("%+v beside an error", got)
			}
			return
		}
		if got.token == "" || strings.ContainsAny(got.token, " \r\n\x00") {
			t.Fatalf("token %q", got.token)
		}
		if got.lifetime < 0 || got.lifetime > maxLifetime {
			t.Fatalf("lifetime %s", got.lifetime)
		}
		all := naive(t, body)
		if all["successful"] == false || all["success"] == false {
			t.Fatal("a token of an answer that was not successful")
		}
	})
}
