package main

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/lifecycle"
	"github.com/vendstream/vendstream/internal/simulator"
)

// vendorOf starts a simulated vendor and returns an environment of two of its
// accounts and one without a catalog, of which acme is the first.
func vendorOf(t *testing.T, faults ...simulator.Fault) env {
	t.Helper()
	sim, err := simulator.New(simulator.Config{
		Accounts: []simulator.Account{
			{Username: "one", Password: "secret", MerchantID: "m-1"},
			{Username: "sub", Password: "secret", MerchantID: "m-2", UserType: "SUB_MERCHANT"},
		},
		Faults: faults,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(sim)
	t.Cleanup(sim.Close)
	t.Cleanup(web.Close)
	accounts := `[{name: acme, username: one, password: secret, merchant_id: m-1, base_url: BASE},` +
		`{name: sub, username: sub, password: secret, merchant_id: m-2, user_type: SUB_MERCHANT, base_url: BASE},` +
		`{name: other, username: one, password: secret, merchant_id: m-2, base_url: BASE},` +
		`{name: wrong, username: one, password: wrong, merchant_id: m-1, base_url: BASE},` +
		`{name: plain, username: one, password: secret, base_url: BASE}]`
	return env{Environ: []string{"VENDSTREAM_ACCOUNTS=" + strings.ReplaceAll(accounts, "BASE", web.URL+"/api/v1")}}
}

func TestProductsList(t *testing.T) {
	t.Parallel()
	e := vendorOf(t)
	stdout, stderr, code := runCommand(t, e, "products", "list", "--account", "acme", "-o", "csv")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if lines[0] != "code,name,category,brand,min,max,fixed,pinless" || len(lines) != 1+len(simulator.DefaultProducts()) || !slices.IsSorted(lines[1:]) {
		t.Errorf("%s", stdout)
	}
	for _, want := range []string{
		"AIR-VOD-001,Vodacom Airtime,AIR,Vodacom,2.0000,1000.0000,false,true",
		"DAT-VOD-001,Vodacom 1GB,DAT,Vodacom,85.0000,85.0000,true,true",
		"ATP-100,Legacy Airtime PIN,ATP,MTN,5.0000,500.0000,false,false",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
	stdout, stderr, code = runCommand(t, e, "products", "list", "--account", "sub", "--category", "dat", "-o", "jsonl")
	want := `{"code":"DAT-MTN-001","name":"MTN Data","category":"DAT","brand":"MTN","min":5.0000,"max":999.0000,"fixed":false,"pinless":true}` + "\n" +
		`{"code":"DAT-VOD-001","name":"Vodacom 1GB","category":"DAT","brand":"Vodacom","min":85.0000,"max":85.0000,"fixed":true,"pinless":true}` + "\n"
	if code != 0 || stderr != "" || stdout != want {
		t.Errorf("code %d, stderr %q, stdout %s", code, stderr, stdout)
	}
	if stdout, _, code = runCommand(t, e, "products", "list", "--account", "acme", "--category", "XXX", "-o", "json"); code != 0 || stdout != "[]\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
	if stdout, _, code = runCommand(t, e, "products", "list", "--account", "acme"); code != 0 || !strings.HasPrefix(stdout, "CODE ") {
		t.Errorf("code %d, %q", code, stdout)
	}
}

func TestProductsShow(t *testing.T) {
	t.Parallel()
	e := vendorOf(t)
	stdout, stderr, code := runCommand(t, e, "products", "show", "ELE-FLS-001", "--account", "acme", "-o", "json")
	var got map[string]json.RawMessage
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q, %v", code, stderr, err)
	}
	if string(got["max"]) != "5000.0000" || string(got["fields"]) != `[{"name":"meterNumber","type":"text","required":true}]` {
		t.Errorf("%s", stdout)
	}
	stdout, _, code = runCommand(t, e, "products", "show", "--account", "sub", "LIF-UBR-001")
	if code != 0 || !strings.Contains(stdout, "FIELDS    mobileNumber (phone, optional)\n") {
		t.Errorf("code %d, %s", code, stdout)
	}
	// Which category a legacy code is in is not known.
	stdout, _, code = runCommand(t, e, "products", "show", "ATP-100", "--account", "acme", "-o", "json")
	if code != 0 || !strings.Contains(stdout, `"fields":null`) {
		t.Errorf("code %d, %s", code, stdout)
	}
}

func TestProductsFailures(t *testing.T) {
	t.Parallel()
	healthy := vendorOf(t)
	always := func(at simulator.Endpoint, step simulator.Step) simulator.Fault {
		return simulator.Fault{Match: simulator.Match{Endpoint: at}, Times: -1, Steps: []simulator.Step{step}}
	}
	noCategories := vendorOf(t, always(simulator.EndpointCategories, simulator.Step{Status: 500}))
	noFields := vendorOf(t, always(simulator.EndpointFields, simulator.Step{Answer: simulator.AnswerReset}))
	away := env{Environ: []string{
		"VENDSTREAM_ACCOUNTS=[{name: acme, username: u, password: hidden-word, merchant_id: m, base_url: 'http://127.0.0.1:1'}]",
	}}
	for _, c := range []struct {
		env  env
		args string
		code int
		want string // part of standard error
	}{
		{healthy, "products", lifecycle.Usage, "needs a command: list, show"},
		{healthy, "products show", lifecycle.Usage, "takes CODE"},
		{healthy, "products list", lifecycle.Usage, "name one with --account"},
		{healthy, "products list --account nobody", lifecycle.Usage, "account nobody is not configured"},
		{healthy, "products list --account plain", lifecycle.Usage, "account plain has no merchant_id"},
		{healthy, "products show --account plain X", lifecycle.Usage, "account plain has no merchant_id"},
		{healthy, "products show --account acme NOT-THERE-1", lifecycle.Failed, `product "NOT-THERE-1" is not in the account's catalog`},
		{healthy, "products list --account other", lifecycle.Failed, "not this account's own"},
		{healthy, "products list --account wrong", lifecycle.Failed, "401"},
		{noCategories, "products show --account acme AIR-VOD-001", lifecycle.Failed, "list the categories: vendor: categories: HTTP status 500"},
		{noFields, "products show --account acme AIR-VOD-001", lifecycle.NotConnected, "list the fields of category AIR: the vendor could not be reached"},
		{away, "products list", lifecycle.NotConnected, "the vendor could not be reached"},
		{away, "products show X", lifecycle.NotConnected, "the vendor could not be reached"},
		{env{}, "products list", lifecycle.Usage, "no account is configured"},
		{env{}, "products list --retry-base x", lifecycle.Usage, "the configuration is not valid"},
	} {
		stdout, stderr, code := runCommand(t, c.env, strings.Split(c.args, " ")...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "hidden-word") {
			t.Errorf("%s: code %d, stdout %q, stderr %q; want %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
}
