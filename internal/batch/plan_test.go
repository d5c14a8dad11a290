package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vendstream/vendstream/internal/purchase"
)

// anyBuyer knows acme, which is the default, and beta.
func anyBuyer(name string) (purchase.Account, error) {
	switch name {
	case "", "acme":
		return purchase.Account{Name: "acme", ChannelID: "7"}, nil
	case "beta":
		return purchase.Account{Name: "beta"}, nil
	default:
		return purchase.Account{}, fmt.Errorf("account %s is not configured", name)
	}
}

func body(reference, amount string) string {
	return fmt.Sprintf(`{"productCode":"VCH-ABC-001","amount":%s,"paymentMethod":"cash","merchantReference":%q}`, amount, reference)
}

func check(t *testing.T, text string, o Options) *Plan {
	t.Helper()
	plan, err := Check(strings.NewReader(text), o, anyBuyer)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestCheck(t *testing.T) {
	t.Parallel()
	text := body("a", "0.10") + "\n" + body("b", `"0.20"`) + "\n" +
		`{"account":"beta","request":` + body("a", "7") + "}\n" + body("c", "-1") + "\n"
	plan := check(t, text, Options{Format: JSONL})
	if plan.Len() != 4 || len(plan.Accounts) != 2 {
		t.Fatalf("%+v", plan)
	}
	acme, beta := &plan.Accounts[0], &plan.Accounts[1]
	if acme.Name != "acme" || acme.Rows != 3 || acme.Sum.String() != "0.30" || acme.Refused != 1 || acme.Refusals[0].Line != 4 || !strings.HasPrefix(acme.Refusals[0].Why, "1004 ") {
		t.Errorf("%+v", acme)
	}
	// beta configures no channel.
	if beta.Name != "beta" || beta.Rows != 1 || beta.Sum.String() != "7.00" || beta.Refused != 1 || !strings.HasPrefix(beta.Refusals[0].Why, "1001 ") {
		t.Errorf("%+v", beta)
	}
	if same := check(t, text, Options{Format: JSONL}); same.Input != plan.Input || same.Rows != plan.Rows {
		t.Error("the same input has another fingerprint")
	}
	other := check(t, strings.Replace(text, "0.10", "0.1", 1), Options{Format: JSONL})
	if other.Input == plan.Input || other.Rows != plan.Rows {
		t.Error("another spelling is another input with the same purchases")
	}
	if row, ok := plan.find("beta", "a"); !ok || row != 2 || plan.account(row) != "beta" {
		t.Error(row, ok)
	}
}

func TestCheckListsAllFaults(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(strings.Join([]string{
		body("a", "1"), "{", body(" a", "1"), `{"merchantReference":"b","b":1,"b":2}`, body("a", "2"),
		`{"account":"gamma","request":` + body("c", "1") + "}", `{"merchantReference":"d","x":"` + strings.Repeat("x", purchase.MaxBody) + `"}`,
	}, "\n") + "\n")
	for range 20 {
		text.WriteString("[]\n")
	}
	_, err := Check(strings.NewReader(text.String()), Options{Format: JSONL}, anyBuyer)
	var faults *InputError
	if !errors.As(err, &faults) || len(faults.Faults) != maxShown || faults.More != 6 {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the input has 26 faults, and nothing was submitted:\nline 2: is not one JSON object\n",
		"line 3: merchantReference must be 1 to 128 bytes", `line 4: a key stands twice in one object: "b"`,
		`line 5: merchantReference "a" of account acme is used in line 1 already`, "line 6: account gamma is not configured",
		"line 7: the body is larger than 64 KiB", "\nand 6 more",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestCheckOfNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                 "line 1: there is no header line",
		least + "\n":       "there is no purchase in it",
		least + "\nA,1,\"": "line 2: is not valid CSV",
		least + "\nA,1,r\nA,1,\"" + strings.Repeat("x\n", maxRow): "after line 2: a row is larger than 1 MiB",
	} {
		_, err := Check(strings.NewReader(text), Options{Format: CSV}, anyBuyer)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
