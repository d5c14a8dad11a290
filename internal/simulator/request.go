package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// purchaseRequest is the body of a purchase call. Names of fields are exact:
// encoding/json would fold their case when it fills a struct.
type purchaseRequest struct {
	fields      map[string]json.RawMessage
	reference   string
	productCode string
	channelID   string
}

var errNotObject = errors.New("the body is not one JSON object")

func parsePurchase(body []byte) (*purchaseRequest, error) {
	req := &purchaseRequest{}
	if err := json.Unmarshal(body, &req.fields); err != nil || req.fields == nil {
		return nil, errNotObject
	}
	req.reference, _ = req.text("merchantReference")
	req.productCode, _ = req.text("productCode")
	req.channelID, _ = req.text("channelId")
	return req, nil
}

// text is a field that holds a JSON string.
func (req *purchaseRequest) text(name string) (string, bool) {
	raw := req.fields[name]
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// absent reports whether a field is left out: not there, null or "".
func (req *purchaseRequest) absent(name string) bool {
	raw := req.fields[name]
	return len(raw) == 0 || string(raw) == "null" || string(raw) == `""`
}

func (req *purchaseRequest) missing(names ...string) string {
	var missing []string
	for _, name := range names {
		if req.absent(name) {
			missing = append(missing, name)
		}
	}
	return strings.Join(missing, ", ")
}

// textFields must be JSON strings; of a meter number that keeps its leading
// zeros (pagamio-api.md, "Purchase").
var textFields = [...]string{
	"merchantReference", "productCode", "paymentMethod", "channelId",
	"mobileNumber", "meterNumber", "accountNumber",
}

func (req *purchaseRequest) mistyped() string {
	for _, name := range textFields {
		if raw := req.fields[name]; len(raw) > 0 && raw[0] != '"' && raw[0] != 'n' {
			return name
		}
	}
	// The amount is a number: the string "50" is refused.
	if !isNumber(req.fields["amount"]) {
		return "amount"
	}
	if raw := req.fields["additionalInfo"]; len(raw) > 0 && raw[0] != '{' && raw[0] != 'n' {
		return "additionalInfo"
	}
	return ""
}

// amountText is the literal of the amount; empty where it is not a number or
// too long to be money.
func (req *purchaseRequest) amountText() string {
	if raw := req.fields["amount"]; isNumber(raw) && len(raw) <= maxAmountLiteral {
		return string(raw)
	}
	return ""
}

// isNumber tells a JSON number by its first character.
func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || (raw[0] >= '0' && raw[0] <= '9'))
}

var (
	// "mobileNumber": the +27… form.
	phone = regexp.MustCompile(`^\+27[0-9]{9}$`)
	digit = regexp.MustCompile(`^[0-9]+$`)
)

// checkCategoryFields applies the fields that a category requires, as
// GET /products/categories/{id}/fields lists them.
func (req *purchaseRequest) checkCategoryFields(of *category) *refusal {
	var missing []string
	for _, f := range of.Fields {
		if f.Required && req.absent(f.Name) {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) > 0 {
		return refuse(codeFieldsMissing, strings.Join(missing, ", "))
	}
	if number, ok := req.text("mobileNumber"); ok && number != "" && !phone.MatchString(number) {
		return refuse(codeInvalidPhone, "")
	}
	if of.Code != "ELE" {
		return nil
	}
	meter, _ := req.text("meterNumber")
	if !digit.MatchString(meter) {
		return refuse(codeInvalidFormat, "meterNumber")
	}
	if !knownMeter(meter) {
		return refuse(codeUnknownCustomer, "")
	}
	return nil
}

// customer is the number that the receipt of this product repeats.
func (req *purchaseRequest) customer(p *Product) string {
	name := "accountNumber"
	if p.category().Code == "ELE" {
		name = "meterNumber"
	}
	number, _ := req.text(name)
	return number
}
