package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/purchase"
	"github.com/vendstream/vendstream/internal/simulator"
)

// meter is the customer's number in these tests: never to be seen in an error.
const meter = "000001020001"

func TestLookupAccepted(t *testing.T) {
	t.Parallel()
	e := vendorOf(t)
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, []byte(`{"accountNumber":"81715524"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, data := range map[string]string{
		"electricity --meter-number " + meter + " --amount 50.00 --product-code ELE-FLS-001": `"meterNumber":"` + meter + `"`,
		"bill-payment --account-number 81715524":                                             `"accountNumber":"81715524"`,
		"bill-payment --file " + file:                                                        `"accountNumber":"81715524"`,
		`money-transfer --body {"mobileNumber":"+27821234567"}`:                              `"mobileNumber":"+27821234567"`,
	} {
		// An account without a catalog can look up too.
		stdout, stderr, code := runCommand(t, e, append([]string{"lookup", "--account", "plain"}, strings.Split(args, " ")...)...)
		var row lookupRow
		if err := json.Unmarshal([]byte(stdout), &row); err != nil || code != 0 || stderr != "" {
			t.Errorf("%s: code %d, stderr %q, %v", args, code, stderr, err)
			continue
		}
		if row.Account != "plain" || string(row.Lookup) != strings.Fields(args)[0] || row.Outcome != "accepted" || row.Code != "0" ||
			row.Message != "Customer found" || !strings.Contains(string(row.Data), data) || !strings.Contains(string(row.Data), `"outstandingAmount":0.0000`) {
			t.Errorf("%s: %s", args, stdout)
		}
	}
	stdout, _, code := runCommand(t, e.withStdin(`{"meterNumber":"`+meter+`"}`), "lookup", "electricity", "--account", "acme", "--file", "-", "-o", "table")
	if code != 0 || !strings.Contains(stdout, "OUTCOME          accepted\n") || !strings.Contains(stdout, "LOOKUP           electricity\n") {
		t.Errorf("code %d, %s", code, stdout)
	}
	stdout, _, code = runCommand(t, e, "lookup", "electricity", "--account", "acme", "--meter-number", meter, "-o", "csv")
	if code != 0 || !strings.HasPrefix(stdout, "account,lookup,outcome,responseCode,responseMessage,data\nacme,electricity,accepted,0,Customer found,") {
		t.Errorf("code %d, %s", code, stdout)
	}
}

func TestLookupRefused(t *testing.T) {
	t.Parallel()
	e := vendorOf(t)
	for _, args := range [][]string{
		{"electricity", "--meter-number", "12"},
		{"money-transfer", "--body", "{}"},
	} {
		stdout, stderr, code := runCommand(t, e, append([]string{"lookup", "--account", "acme"}, args...)...)
		var row lookupRow
		if err := json.Unmarshal([]byte(stdout), &row); err != nil {
			t.Fatal(err)
		}
		if code != lifecycle.FailedPurchases || stderr != "" || row.Outcome != "refused" || row.Code == "" || row.Message == "" {
			t.Errorf("%s: code %d, stderr %q, %s", args, code, stderr, stdout)
		}
	}
}

func TestLookupFailures(t *testing.T) {
	t.Parallel()
	healthy := vendorOf(t)
	broken := vendorOf(t, simulator.Fault{Times: -1, Steps: []simulator.Step{{Status: 500}}, Match: simulator.Match{Endpoint: simulator.EndpointLookup}})
	limited := vendorOf(t, simulator.Fault{Times: -1, Steps: []simulator.Step{{Status: 429}}, Match: simulator.Match{Endpoint: simulator.EndpointLookup}})
	nowhere := env{Environ: []string{
		"VENDSTREAM_ACCOUNTS=[{name: acme, username: u, password: hidden-word, base_url: 'http://127.0.0.1:1'}]",
	}}
	ask := "lookup electricity --meter-number " + meter
	for _, c := range []struct {
		env  env
		args string
		code int
		want string // part of standard error
	}{
		{healthy, "lookup", lifecycle.Usage, "needs a command: bill-payment, electricity, money-transfer"},
		{healthy, "lookup " + meter, lifecycle.Usage, `unknown command for "vendstream lookup"`},
		{healthy, "lookup electricity " + meter, lifecycle.Usage, "takes no arguments"},
		{healthy, "lookup electricity -" + meter, lifecycle.Usage, "unknown shorthand flag"},
		{healthy, "lookup electricity --meter=" + meter, lifecycle.Usage, "unknown flag: --meter"},
		{healthy, ask, lifecycle.Usage, "name one with --account"},
		{healthy, ask + " --account nobody", lifecycle.Usage, "account nobody is not configured"},
		{healthy, "lookup electricity --account acme", lifecycle.Usage, "--meter-number is needed"},
		{healthy, "lookup bill-payment --account acme --amount 5", lifecycle.Usage, "--account-number is needed"},
		{healthy, "lookup money-transfer --account acme", lifecycle.Usage, "--body or --file is needed"},
		{healthy, ask + " --account acme --amount " + meter, lifecycle.Usage, "--amount: not a decimal"},
		{healthy, ask + " --account acme --body {}", lifecycle.Usage, "give one of them"},
		{healthy, ask + "\xff --account acme", lifecycle.Usage, "valid UTF-8"},
		{healthy, "lookup money-transfer --account acme --body {} --file -", lifecycle.Usage, "give one of them"},
		{healthy, "lookup money-transfer --account acme --body [" + meter + "]", lifecycle.Usage, "not a JSON object"},
		{healthy, "lookup money-transfer --account acme --body null", lifecycle.Usage, "not a JSON object"},
		{healthy, "lookup money-transfer --account acme --file /nosuch/file", lifecycle.Usage, "/nosuch/file"},
		{healthy, ask + " --account wrong", lifecycle.Failed, "401"},
		{broken, ask + " --account acme", lifecycle.Failed, "the look-up has no answer (unknown): vendor: lookup_electricity: HTTP status 500"},
		{limited, ask + " --account acme", lifecycle.Failed, "(limited)"},
		{nowhere, ask, lifecycle.NotConnected, "the vendor could not be reached"},
		{env{}, ask, lifecycle.Usage, "no account is configured"},
	} {
		stdout, stderr, code := runCommand(t, c.env, strings.Split(c.args, " ")...)
		if code != c.code || !strings.Contains(stderr, c.want) || c.code == lifecycle.Usage && stdout != "" {
			t.Errorf("%s: code %d, stdout %q, stderr %q; want %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
		for _, hidden := range []string{"hidden-word", meter} {
			if strings.Contains(stderr, hidden) {
				t.Errorf("%s: %s is shown: %q", c.args, hidden, stderr)
			}
		}
	}
}

// The vendor gets the digits that were typed, and the account's channelId.
func TestLookupBody(t *testing.T) {
	t.Parallel()
	f := lookupFlags{number: meter, amount: "50.00", product: "ELE-FLS-001"}
	for kind, want := range map[purchase.LookupKind]string{
		purchase.LookupElectricity: `{"productCode":"ELE-FLS-001","amount":50.00,"channelId":"7","meterNumber":"` + meter + `"}`,
		purchase.LookupBillPayment: `{"productCode":"ELE-FLS-001","amount":50.00,"channelId":"7","accountNumber":"` + meter + `"}`,
	} {
		got, err := f.body(&program{}, pflag.NewFlagSet("", pflag.ContinueOnError), kind, "number", "7")
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
}
