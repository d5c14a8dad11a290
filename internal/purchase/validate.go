package purchase

import "strings"

// Refusal is a purchase that is refused here, before any call, with the code
// that the vendor would have given. Message names fields and never values.
type Refusal struct {
	Code    string
	Message string
	Class   Class
	Source  Source
}

// Expired is the refusal of a purchase that was not sent in time.
func Expired() *Refusal {
	return &Refusal{CodeExpired, messageExpired, ClassExpired, SourceExpiry}
}

// isMobileNumber reports whether s is +27 and nine digits.
func isMobileNumber(s string) bool {
	digits, found := strings.CutPrefix(s, "+27")
	return found && len(digits) == 9 && allDigits(digits)
}

// customerField names the field that identifies the customer, by the category
// in a product code CCC-BBB-NNN (pagamio-api.md, "Purchase" and "Catalog").
// Categories that are not here, and legacy codes, have none that is known.
var customerField = map[string]string{
	"AIR": fieldMobileNumber,
	"DAT": fieldMobileNumber,
	"MIN": fieldMobileNumber,
	"SMS": fieldMobileNumber,
	"ELE": fieldMeterNumber,
	"BIL": fieldAccountNumber,
}

// fieldKinds are the JSON types of the fields that the vendor documents.
// amount, which may also be a decimal string, is checked apart.
var fieldKinds = []struct {
	name string
	kind kind
}{
	{fieldProductCode, kindString},
	{fieldPaymentMethod, kindString},
	{fieldChannelID, kindString},
	{fieldMobileNumber, kindString},
	{fieldMeterNumber, kindString},
	{fieldAccountNumber, kindString},
	{fieldAdditional, kindObject},
}

// Validate checks the fields as far as they can be checked without the
// catalog, and returns nil where nothing is wrong. Missing fields are told
// first (1001), then wrong types (1008), then the amount (1004), then the
// mobile number (1005).
func (r *Request) Validate() *Refusal {
	if missing := r.missing(); len(missing) > 0 {
		return refuse(CodeFieldsMissing, messageMissing+strings.Join(missing, ", ")+".")
	}
	if wrong := r.wrongTypes(); len(wrong) > 0 {
		return refuse(CodeInvalidFormat, messageWrongType+strings.Join(wrong, ", ")+".")
	}
	if literal := r.amount(); literal == "" || !parseNumber(literal).payable() {
		return refuse(CodeInvalidAmount, messageAmount)
	}
	if !r.absent(fieldMobileNumber) && !isMobileNumber(r.text(fieldMobileNumber)) {
		return refuse(CodeInvalidPhone, messageMobileNumber)
	}
	return nil
}

func refuse(code, message string) *Refusal {
	return &Refusal{code, message, ClassValidation, SourceValidation}
}

func (r *Request) missing() []string {
	required := append(make([]string, 0, 5), fieldProductCode, fieldAmount, fieldPaymentMethod, fieldChannelID)
	category, _, _ := strings.Cut(r.ProductCode(), "-")
	if field, ok := customerField[category]; ok {
		required = append(required, field)
	}
	var missing []string
	for _, name := range required {
		if name == fieldChannelID && r.channelID != "" {
			continue
		}
		if r.absent(name) && !r.emptyAmount(name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// emptyAmount tells an amount of "" apart from one that is left out: it is
// there, and not a decimal.
func (r *Request) emptyAmount(name string) bool {
	at := r.doc.find(name)
	return name == fieldAmount && at >= 0 && r.doc.members[at].kind == kindString
}

func (r *Request) wrongTypes() []string {
	var wrong []string
	for _, field := range fieldKinds {
		at := r.doc.find(field.name)
		if at < 0 {
			continue
		}
		if m := &r.doc.members[at]; m.kind != kindNull && (m.kind != field.kind || (m.kind == kindString && !m.wellFormed)) {
			wrong = append(wrong, field.name)
		}
	}
	if at := r.doc.find(fieldAmount); at >= 0 {
		if k := r.doc.members[at].kind; k != kindNumber && k != kindString {
			wrong = append(wrong, fieldAmount)
		}
	}
	return wrong
}
