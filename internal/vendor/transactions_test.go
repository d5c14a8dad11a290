package vendor

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

func page(items ...string) string {
	return `{"content":[` + strings.Join(items, ",") + `],"page":0,"size":20,"totalElements":137,"totalPages":7}`
}

var (
	byID        = query{"T1", ref}
	byReference = query{"", ref}
)

func TestTransactions(t *testing.T) {
	const (
		other     = `{"id":9,"status":{"code":3},"transactionId":"T9","merchantReference":"other"}`
		completed = `{"id":1,"status":{"code":0,"label":"Completed","description":"d"},"price":30.0000,"transactionId":"T1"}`
	)
	for name, c := range map[string]struct {
		q    query
		body string
		want purchase.OutcomeKind
		err  error
	}{
		"completed":                  {byID, page(other, completed), purchase.Completed, nil},
		"completed, bare array":      {byID, "[" + completed + "]", purchase.Completed, nil},
		"completed, code as text":    {byID, page(`{"status":{"code":"0"},"transactionId":"T1"}`), purchase.Completed, nil},
		"completed, id as number":    {query{"17", ref}, page(`{"status":{"code":0},"transactionId":17}`), purchase.Completed, nil},
		"completed, its reference":   {byID, page(`{"status":{"code":0},"transactionId":"T1","merchantReference":"REF-1"}`), purchase.Completed, nil},
		"completed with code 0":      {byID, page(`{"status":{"code":0},"transactionId":"T1","responseCode":"0","successful":true}`), purchase.Completed, nil},
		"pending":                    {byID, page(`{"status":{"code":1},"transactionId":"T1"}`), purchase.InFlight, nil},
		"pending with code 0":        {byID, page(`{"status":{"code":1},"transactionId":"T1","responseCode":0}`), purchase.InFlight, nil},
		"processing":                 {byID, page(`{"status":{"code":"2","label":"PROCESSING"},"transactionId":"T1","successful":false}`), purchase.InFlight, nil},
		"failed":                     {byID, page(`{"status":{"code":3},"transactionId":"T1"}`), purchase.Failed, nil},
		"none":                       {byID, page(), purchase.NotFound, errNotListed},
		"others only":                {byID, page(other), purchase.NotFound, errNotListed},
		"same reference, another id": {byID, page(`{"status":{"code":0},"transactionId":"T2","merchantReference":"REF-1"}`), purchase.NotFound, errNotListed},
		"id of another spelling":     {query{"17", ref}, page(`{"status":{"code":0},"transactionId":17.0}`), purchase.NotFound, errNotListed},
		"our id, another reference":  {byID, page(`{"status":{"code":0},"transactionId":"T1","merchantReference":"other"}`), purchase.Unknown, errItemMismatch},
		"by reference":               {byReference, page(other, `{"status":{"code":0},"transactionId":"T1","merchantReference":"REF-1"}`), purchase.Completed, nil},
		"by reference, none borne":   {byReference, page(completed), purchase.NotFound, errNotListed},
		"no id, no reference":        {query{}, page(`{"status":{"code":0}}`), purchase.NotFound, errNotListed},

		"status 4":                  {byID, page(`{"status":{"code":4},"transactionId":"T1"}`), purchase.Unknown, errUnlistedStatus},
		"status in words":           {byID, page(`{"status":{"code":"COMPLETED"},"transactionId":"T1"}`), purchase.Unknown, errUnlistedStatus},
		"status 0.0":                {byID, page(`{"status":{"code":0.0},"transactionId":"T1"}`), purchase.Unknown, errUnlistedStatus},
		"no status code":            {byID, page(`{"status":{},"transactionId":"T1"}`), purchase.Unknown, errUnlistedStatus},
		"no status":                 {byID, page(`{"transactionId":"T1"}`), purchase.Unknown, errWrongType},
		"status not an object":      {byID, page(`{"status":0,"transactionId":"T1"}`), purchase.Unknown, errWrongType},
		"status code an object":     {byID, page(`{"status":{"code":{}},"transactionId":"T1"}`), purchase.Unknown, errWrongType},
		"two status codes":          {byID, page(`{"status":{"code":3,"code":0},"transactionId":"T1"}`), purchase.Unknown, errAmbiguous},
		"two statuses":              {byID, page(`{"status":{"code":3},"Status":{"code":0},"transactionId":"T1"}`), purchase.Unknown, errAmbiguous},
		"label against code":        {byID, page(`{"status":{"code":0,"label":"Failed"},"transactionId":"T1"}`), purchase.Unknown, errContradiction},
		"completed with a failure":  {byID, page(`{"status":{"code":0},"transactionId":"T1","responseCode":"1103"}`), purchase.Unknown, errContradiction},
		"completed, not successful": {byID, page(`{"status":{"code":0},"transactionId":"T1","successful":false}`), purchase.Unknown, errContradiction},
		"completed, rejected":       {byID, page(`{"status":{"code":0},"transactionId":"T1","rejectionCode":"P1"}`), purchase.Unknown, errContradiction},
		"completed, flag mistyped":  {byID, page(`{"status":{"code":0},"transactionId":"T1","successful":"no"}`), purchase.Unknown, errWrongType},
		"failed with code 0":        {byID, page(`{"status":{"code":3},"transactionId":"T1","responseCode":"0"}`), purchase.Unknown, errContradiction},
		"failed, successful":        {byID, page(`{"status":{"code":3},"transactionId":"T1","successful":true}`), purchase.Unknown, errContradiction},
		"failed as a duplicate":     {byID, page(`{"status":{"code":3},"transactionId":"T1","responseCode":"1006"}`), purchase.Unknown, errContradiction},
		"failed as processed":       {byID, page(`{"status":{"code":3},"transactionId":"T1","rejectionCode":1205}`), purchase.Unknown, errContradiction},

		"two that agree":          {byID, page(completed, completed), purchase.Completed, nil},
		"two that disagree":       {byID, page(completed, `{"status":{"code":3},"transactionId":"T1"}`), purchase.Unknown, errItemsDiffer},
		"two receipts":            {byID, page(`{"status":{"code":0},"transactionId":"T1","receipt":{"a":1}}`, `{"status":{"code":0},"transactionId":"T1","receipt":{"a":2}}`), purchase.Unknown, errItemsDiffer},
		"two under one reference": {byReference, page(`{"status":{"code":0},"transactionId":"T1","merchantReference":"REF-1"}`, `{"status":{"code":0},"transactionId":"T2","merchantReference":"REF-1"}`), purchase.Unknown, errItemsDiffer},

		"empty":               {byID, ``, purchase.Unknown, errEmpty},
		"truncated":           {byID, `{"content":[`, purchase.Unknown, errNotJSON},
		"trailing":            {byID, page() + `x`, purchase.Unknown, errNotJSON},
		"a failure":           {byID, `{"responseCode":"1300","successful":false}`, purchase.Unknown, errNoList},
		"a text":              {byID, `"none"`, purchase.Unknown, errNoList},
		"content null":        {byID, `{"content":null}`, purchase.Unknown, errNoList},
		"content an object":   {byID, `{"content":{}}`, purchase.Unknown, errNoList},
		"two contents":        {byID, `{"content":[],"content":[` + completed + `]}`, purchase.Unknown, errAmbiguous},
		"an item no object":   {byID, page(completed, `7`), purchase.Unknown, errWrongType},
		"an id no text":       {byID, page(completed, `{"transactionId":[1]}`), purchase.Unknown, errWrongType},
		"a reference no text": {byID, page(`{"transactionId":"T1","merchantReference":true}`), purchase.Unknown, errWrongType},
		"two ids in one item": {byID, page(`{"status":{"code":0},"transactionId":"T2","transactionId":"T1"}`), purchase.Unknown, errAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			got := classifyTransactions(200, []byte(c.body), c.q)
			if got.Kind != c.want || !errors.Is(got.Cause, c.err) {
				t.Errorf("%s, %v; want %s, %v", got.Kind, got.Cause, c.want, c.err)
			}
			switch got.Kind {
			case purchase.Completed:
				if got.Code != "0" || got.TransactionID == "" {
					t.Errorf("%+v", got)
				}
			case purchase.Unknown, purchase.NotFound:
				if got.TransactionID != "" || got.Receipt != nil {
					t.Errorf("nothing is proven, and yet it hands on %+v", got)
				}
			}
		})
	}
}

func TestFailedTransactionNamesItsReason(t *testing.T) {
	for reason, want := range map[string]struct {
		code  string
		class purchase.Class
	}{
		``:                        {"999", purchase.ClassOther},
		`,"responseCode":"1103"`:  {"1103", purchase.ClassBalance},
		`,"responseCode":1203`:    {"1203", purchase.ClassProvider},
		`,"rejectionCode":"1004"`: {"1004", purchase.ClassValidation},
		`,"rejectionCode":"P-77"`: {"999", purchase.ClassOther},  // the provider's own
		`,"responseCode":"7777"`:  {"7777", purchase.ClassOther}, // not in the table
		`,"responseCode":"1200"`:  {"1200", purchase.ClassOther}, // not terminal; the status is
		`,"responseCode":"1204"`:  {"1204", purchase.ClassOther},
		`,"error":{"code":1107}`:  {"1107", purchase.ClassAccount},
		`,"responseCode":"1101","rejectionCode":"1103"`: {"1101", purchase.ClassAccount},
	} {
		body := page(`{"status":{"code":3},"transactionId":"T1","responseMessage":"m","receipt":{"n":30.0000}` + reason + `}`)
		got := classifyTransactions(200, []byte(body), byID)
		if got.Kind != purchase.Failed || got.Code != want.code || got.Class != want.class || got.Message != "m" || string(got.Receipt) != `{"n":30.0000}` {
			t.Errorf("%s: %+v, want %+v", reason, got, want)
		}
	}
}

func TestTransactionReceiptComesFromWhicheverItemHasIt(t *testing.T) {
	const with, without = `{"status":{"code":0},"transactionId":"T1","receipt":{"units":30.0000}}`, `{"status":{"code":0},"transactionId":"T1"}`
	for _, body := range []string{page(with, without), page(without, with), page(with, with)} {
		if got := classifyTransactions(200, []byte(body), byID); string(got.Receipt) != `{"units":30.0000}` {
			t.Errorf("%s: receipt %s", body, got.Receipt)
		}
	}
}

func TestTransactionsByStatus(t *testing.T) {
	body := []byte(page(`{"status":{"code":0},"transactionId":"T1"}`))
	for status, want := range map[int]purchase.OutcomeKind{
		200: purchase.Completed, 202: purchase.Unknown, 302: purchase.Unknown, 400: purchase.NotFound,
		401: purchase.Unauthorized, 403: purchase.Forbidden, 404: purchase.NotFound, 409: purchase.NotFound,
		429: purchase.Limited, 500: purchase.Unknown, 0: purchase.Unknown,
	} {
		if got := classifyTransactions(status, body, byID); got.Kind != want || (got.Cause == nil) != (want == purchase.Completed) {
			t.Errorf("%d: %s, %v; want %s", status, got.Kind, got.Cause, want)
		}
	}
}

func TestTransactionAsksInTheQuery(t *testing.T) {
	const phone = "+27 82 & 1=2"
	c, f := newFake(t, func(s seen) (int, string, error) {
		if s.path == tokenPath {
			return 200, grantBody("a", "r"), nil
		}
		return 200, page(`{"status":{"code":0},"transactionId":"T1","merchantReference":"+27 82 & 1=2"}`), nil
	})
	for _, c2 := range []struct{ id, reference string }{{"T1", phone}, {"", phone}} {
		if got := c.Transaction(t.Context(), c2.id, c2.reference); got.Kind != purchase.Completed || got.TransactionID != "T1" {
			t.Errorf("%v: %+v", c2, got)
		}
		q, err := url.ParseQuery(f.last().query)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{"userType": {"MERCHANT"}, "userTypeId": {"77"}}
		if c2.id != "" {
			want.Set("transactionId", c2.id)
		} else {
			want.Set("merchantReference", c2.reference)
		}
		if q.Encode() != want.Encode() || f.last().body != "" || f.last().header.Get("Content-Type") != "" {
			t.Errorf("asked %v with body %q, want %v", q, f.last().body, want)
		}
	}
}

func TestTransactionUserTypeID(t *testing.T) {
	answer := func(s seen) (int, string, error) {
		switch {
		case s.path == tokenPath:
			return 200, `{"accessToken":"a","expiresIn":1800}`, nil
		default:
			return 200, page(), nil
		}
	}
	c, f := newFake(t, answer)
	if got := c.Transaction(t.Context(), "T1", ref); got.Kind != purchase.NotFound || !errors.Is(got.Cause, errNoUserTypeID) {
		t.Errorf("without a userTypeId: %+v", got)
	}
	if q := f.last().query; q != "transactionId=T1&userType=MERCHANT" {
		t.Errorf("asked %q where no userTypeId is known", q)
	}
	f = &fake{answer: func(s seen) (int, string, error) {
		if s.path == tokenPath {
			return 200, grantBody("a", "r"), nil
		}
		return answer(s)
	}}
	c = newClient(t, Config{BaseURL: "http://vendor.test", Transport: f, UserType: UserTypeSubMerchant, UserTypeID: "5"})
	if got := c.Transaction(t.Context(), "T1", ref); got.Kind != purchase.NotFound {
		t.Errorf("%+v", got)
	}
	if q := f.last().query; q != "transactionId=T1&userType=SUB_MERCHANT&userTypeId=5" {
		t.Errorf("the configuration does not win: %s", q)
	}
	down, _ := newFake(t, func(seen) (int, string, error) { return 0, "", errDial })
	if got := down.Transaction(t.Context(), "T1", ref); got.Kind != purchase.Unreachable {
		t.Errorf("no token: %+v", got)
	}
}

func TestTransactionReceiptTooLargeToPublish(t *testing.T) {
	item := func(size int) string {
		return `[{"status":{"code":0},"transactionId":"T1","receipt":"` + strings.Repeat("x", size-2) + `"}]`
	}
	if got := classifyTransactions(200, []byte(item(maxReceipt)), query{transactionID: "T1"}); got.Kind != purchase.Completed {
		t.Errorf("as large as allowed: %+v", got.Kind)
	}
	if got := classifyTransactions(200, []byte(item(maxReceipt+1)), query{transactionID: "T1"}); got.Kind != purchase.Unknown {
		t.Errorf("larger: %+v", got.Kind)
	}
}
