package batch

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vendstream/vendstream/internal/purchase"
)

// read gives the rows and the faults of an input as lines of text.
func read(t testing.TB, text string, o Options) []string {
	t.Helper()
	var out []string
	reader, err := NewReader(strings.NewReader(text), o)
	for i := 0; err == nil; i++ {
		var row Row
		if row, err = reader.Next(); err == nil {
			r := row.Request
			line := fmt.Sprintf("%d/%d %s %s", row.Line, row.Number, r.Account, r.Body)
			if !r.ExpiresAt.IsZero() {
				line += " expires " + r.ExpiresAt.UTC().Format("15:04")
			}
			if r.Lookup {
				line += " lookup"
			}
			if r.Priority != "" {
				line += " " + r.Priority
			}
			if r.TraceParent != "" {
				line += " traced"
			}
			out = append(out, line)
			continue
		}
		if bad := (*RowError)(nil); errors.As(err, &bad) {
			out = append(out, err.Error())
			err = nil
		}
		if i > 1000 {
			t.Fatal("it does not end")
		}
	}
	if !errors.Is(err, io.EOF) {
		out = append(out, err.Error())
	}
	return out
}

func lists(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s: got\n%s\nwant\n%s", name, g, w)
	}
}

const least = "productCode,amount,merchantReference"

func TestCSV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		options    Options
		want       []string
	}{
		{
			"all columns", "\ufeffaccount,productCode,amount,merchantReference,meterNumber,additionalInfo.a,additionalInfo.b,note,expiresAt,lookup,priority\r\n" +
				"beta,ELE,50.00,r-1,007,x,\"a \"\"q\"\"\nb\",é,2030-01-01T02:00:00+02:00,TRUE,low\r\n" +
				"\r\n,ELE,5,r-2,,,,,,false,\r\n",
			Options{},
			[]string{
				`2/1 beta {"productCode":"ELE","amount":50.00,"merchantReference":"r-1","meterNumber":"007","note":"é","additionalInfo":{"a":"x","b":"a \"q\"\nb"}} expires 00:00 lookup low`,
				`5/2  {"productCode":"ELE","amount":5,"merchantReference":"r-2"}`,
			},
		},
		{
			"prefix and priority of all", "productCode;amount;merchantReference\nA;1;\nA;1;own\n\n;;\nA;1;\n", Options{Comma: ';', Prefix: "P", Priority: "low"},
			[]string{
				`2/1  {"productCode":"A","amount":1,"merchantReference":"P-1"} low`, `3/2  {"productCode":"A","amount":1,"merchantReference":"own"} low`,
				`line 5: has nothing but empty cells`, `6/4  {"productCode":"A","amount":1,"merchantReference":"P-4"} low`,
			},
		},
		{
			"reading goes on after a fault", least + ",lookup,expiresAt,priority\nA,5.,a,,,\nA,5,,,,\nA,5,b,yes,,\nA,5,b,,soon,\nA,5,b,,,high\nA,5\nA,\"5\"x,c,,,\n\xff,5,d,,,\nA,5,e,,,\n",
			Options{},
			[]string{
				`2/1  {"productCode":"A","amount":"5.","merchantReference":"a"}`, "line 3: merchantReference is missing", "line 4: lookup must be true or false",
				"line 5: expiresAt is not an RFC 3339 time such as 2026-01-31T12:00:00Z", "line 6: priority must be low or left out",
				"line 7: has 2 cells, and the header line has 6", `line 8: is not valid CSV: extraneous or missing " in quoted-field`,
				"line 9: productCode is not valid UTF-8", `10/9  {"productCode":"A","amount":5,"merchantReference":"e"}`,
			},
		},
		{"empty", "", Options{}, []string{"line 1: there is no header line that names the columns"}},
		{"only a header", least + "\n", Options{}, nil},
		{"no amount", "productCode,merchantReference\n", Options{}, []string{"line 1: the header line names no column amount"}},
		{"no reference", "productCode,amount\n", Options{}, []string{"line 1: the header line names no column merchantReference: add one, or use --reference-prefix"}},
		{"other delimiter", "productCode;amount\n", Options{}, []string{"line 1: the header line names no column productCode; name what separates the cells with --delimiter"}},
		{"twice", least + ",x,x\n", Options{}, []string{`line 1: column "x" is there twice`}},
		{"slip", "productCode,amount,merchant_reference\n", Options{Prefix: "P"}, []string{`line 1: column "merchant_reference" must be written "merchantReference"`}},
		{"white space", "productCode, amount,merchantReference\n", Options{}, []string{"line 1: column 2 has no name, or white space around it"}},
		{"object", least + ",additionalInfo\n", Options{}, []string{"line 1: additionalInfo is an object: write a column additionalInfo.KEY for each of its keys"}},
		{"no key", least + ",additionalInfo.\n", Options{}, []string{"line 1: column 4 has no name, or white space around it"}},
		{"bytes", least + ",\xff\n", Options{}, []string{"line 1: the name of column 4 is not valid UTF-8"}},
		{"never closed", least + "\nA,5,\"" + strings.Repeat("x\n", maxRow), Options{}, []string{errTooLong.Error()}},
	} {
		c.options.Format = CSV
		lists(t, c.name, read(t, c.text, c.options), c.want...)
	}
}

func TestJSONL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		options    Options
		want       []string
	}{
		{
			"bodies as they are", "\ufeff{\"merchantReference\":\"a\",\"amount\":5.0e1, \"x\":[1.0]}\r\n\n  \n{\"merchantReference\":\"b\"}", Options{},
			[]string{`1/1  {"merchantReference":"a","amount":5.0e1, "x":[1.0]}`, `4/2  {"merchantReference":"b"}`},
		},
		{
			"envelope", `{"account":"beta","headers":{"Vendstream-Lookup":"true","Vendstream-Priority":"low","Vendstream-Expires-At":"2030-01-01T00:00:00Z",` +
				`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"request":{"merchantReference":"a", "amount":1.0}}` + "\n" +
				`{"request":{"merchantReference":"b","request":{}}}`, Options{},
			[]string{`1/1 beta {"merchantReference":"a", "amount":1.0} expires 00:00 lookup low traced`, `2/2  {"merchantReference":"b","request":{}}`},
		},
		{
			"prefix", "{}\n{ \"a\":1}\n{\"request\":{\"b\":1}}\n{\"merchantReference\":7}\n", Options{Prefix: "P"},
			[]string{
				`1/1  {"merchantReference":"P-1"}`, `2/2  {"merchantReference":"P-2", "a":1}`, `3/3  {"merchantReference":"P-3","b":1}`,
				`4/4  {"merchantReference":7}`,
			},
		},
		{
			"reading goes on after a fault", strings.Join([]string{
				"[]", "{", `{"a":1} x`, `{"a":1`, "{}", strings.Repeat("x", maxRow+1), `{"request":[]}`, `{"request":{}}`,
				`{"request":{},"x":1}`, `{"request":{},"request":{}}`, `{"request":{},"account":1}`, `{"request":{},"account":""}`,
				`{"request":{},"headers":[]}`, `{"request":{},"headers":{"Vendstream-Lookup":true}}`, `{"request":{},"headers":{"Nats-Msg-Id":"x"}}`,
				`{"request":{},"headers":{"traceparent":"x"}}`, `{"request":{},"headers":{"Vendstream-Lookup":"true","Vendstream-Lookup":"true"}}`, `{"merchantReference":"z"}`,
			}, "\n"), Options{},
			[]string{
				"line 1: is not one JSON object", "line 2: is not one JSON object", "line 3: is not one JSON object", "line 4: is not one JSON object",
				"line 5: merchantReference is missing", "line 6: is larger than 1 MiB", "line 7: request: is not one JSON object", "line 8: merchantReference is missing",
				`line 9: the key "x" stands beside a request: only account and headers may`, `line 10: the key "request" stands twice beside the request`,
				"line 11: account is not a string with an account's name", "line 12: account is not a string with an account's name",
				"line 13: headers: is not one JSON object", `line 14: header "Vendstream-Lookup" stands twice, or is not a string with a value`,
				`line 15: header "Nats-Msg-Id" is not a header that a request has: Vendstream-Expires-At, Vendstream-Lookup, Vendstream-Priority or traceparent`,
				`line 16: header "traceparent" is not a W3C traceparent`, `line 17: header "Vendstream-Lookup" stands twice, or is not a string with a value`,
				`18/18  {"merchantReference":"z"}`,
			},
		},
		{"empty", "", Options{}, nil},
	} {
		c.options.Format = JSONL
		lists(t, c.name, read(t, c.text, c.options), c.want...)
	}
}

func TestReadersEndWithTheInputsError(t *testing.T) {
	t.Parallel()
	for _, format := range []Format{CSV, JSONL} {
		broken := errors.New("the disk")
		in := io.MultiReader(strings.NewReader(least+"\n"), iotest.ErrReader(broken))
		reader, err := NewReader(in, Options{Format: format, Prefix: "P"})
		if err == nil && format == JSONL { // the header is no object
			_, _ = reader.Next()
		}
		if err == nil {
			_, err = reader.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// Whatever a file holds, reading it ends, and a body made of cells keeps the rules
// of a request but for its reference and size.
func FuzzCSV(f *testing.F) {
	f.Add([]byte(least+",account,additionalInfo.a\nA,5.00,r,acme,\"x\"\"\n\"\n"), true)
	f.Add([]byte(least+"\nA,\"5,r\n"), false)
	f.Add([]byte("\ufeff"+least+",a\xff\n,,,\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, prefix bool) {
		o := Options{Format: CSV}
		if prefix {
			o.Prefix = "P"
		}
		everyRow(t, string(text), o, func(row Row) {
			_, err := purchase.Parse(row.Request.Body, purchase.Account{Name: "acme"})
			if rejection := (*purchase.Rejection)(nil); errors.As(err, &rejection) && rejection.Reason == purchase.ReasonMalformed {
				t.Errorf("%q: %v", row.Request.Body, err)
			}
		})
	})
}

// Whatever a file holds, reading it ends; a line that is no envelope is its body to
// the byte, but for a reference put in.
func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"merchantReference":"a","amount":1.0}`+"\n{}\n"), true)
	f.Add([]byte(`{"request":{"x":1},"account":"a","headers":{"traceparent":"1"}}`), true)
	f.Add([]byte("{\"a\":\"\xff\"}\r\n[\n"), false)
	f.Fuzz(func(t *testing.T, text []byte, prefix bool) {
		o := Options{Format: JSONL}
		if prefix {
			o.Prefix = "P"
		}
		everyRow(t, string(text), o, func(row Row) {
			body := string(row.Request.Body)
			body = strings.Replace(body, fmt.Sprintf(`"merchantReference":"P-%d",`, row.Number), "", 1)
			body = strings.Replace(body, fmt.Sprintf(`"merchantReference":"P-%d"`, row.Number), "", 1)
			plain := strings.NewReplacer(fmt.Sprintf(`"merchantReference":"P-%d",`, row.Number), "").Replace(string(text))
			if !strings.Contains(string(text), body) && !strings.Contains(plain, body) {
				t.Errorf("%q is not in %q", body, text)
			}
			if _, err := purchase.Parse(row.Request.Body, purchase.Account{Name: "acme"}); err != nil {
				if rejection := (*purchase.Rejection)(nil); !errors.As(err, &rejection) {
					t.Error(err)
				}
			}
		})
	})
}

func everyRow(t *testing.T, text string, o Options, each func(Row)) {
	reader, err := NewReader(strings.NewReader(text), o)
	for last, n := 0, 0; err == nil; n++ {
		var row Row
		if row, err = reader.Next(); err == nil {
			if row.Line <= last && n > 0 || row.Number < 1 {
				t.Errorf("line %d after %d, number %d", row.Line, last, row.Number)
			}
			last = row.Line
			each(row)
		}
		if bad := (*RowError)(nil); errors.As(err, &bad) {
			err = nil
		}
		if n > len(text)+1 {
			t.Fatal("it does not end")
		}
	}
	if bad := (*RowError)(nil); !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) && !errors.As(err, &bad) {
		t.Fatal(err)
	}
}
