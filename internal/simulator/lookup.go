package simulator

import (
	"net/http"
	"strings"
)

// The sandbox's meters and account (pagamio-api.md, "Sandbox values").
const (
	meterFreeOnly = "00001000000" // free basic electricity only
	meterWater    = "000000000100"
	accountDStv   = "81715524"
)

// knownMeter takes the sandbox's meters, which have 11 and 12 digits, and any
// other of 11 to 13 digits.
func knownMeter(meter string) bool {
	return len(meter) >= 11 && len(meter) <= 13 && digit.MatchString(meter)
}

// knownAccount takes the sandbox's DStv account and any other of 6 to 20 digits.
func knownAccount(number string) bool {
	return number == accountDStv || (len(number) >= 6 && len(number) <= 20 && digit.MatchString(number))
}

func unitOf(meter string) string {
	if meter == meterWater {
		return "kl"
	}
	return "kWh"
}

// lookup is POST /lookup/… (pagamio-api.md, "Lookups" and "ASSUMED": the request
// has the purchase's own fields, the answer is read as a purchase's and its data
// is kept whole).
func (s *Simulator) lookup(c *call) reply {
	req, err := parsePurchase(c.body)
	if err != nil {
		req = &purchaseRequest{}
	}
	t := target{reference: req.reference, product: req.productCode}
	return s.authenticated(c, t, func(c *call) reply {
		if err != nil {
			return failure(Flat, http.StatusBadRequest, codeInvalidFormat, "Invalid field format: "+err.Error())
		}
		name, known := "accountNumber", knownAccount
		switch strings.TrimPrefix(c.path, "/lookup/") {
		case "electricity":
			name, known = "meterNumber", knownMeter
		case "money-transfer":
			name, known = "mobileNumber", phone.MatchString
		}
		if req.absent(name) {
			return s.fieldsMissing(name)
		}
		number, ok := req.text(name)
		switch {
		case !ok:
			return failure(Flat, http.StatusOK, codeInvalidFormat, messageOf(codeInvalidFormat)+": "+name)
		case !known(number):
			return failure(Flat, http.StatusOK, codeUnknownCustomer, "")
		}
		b := append(make([]byte, 0, 256), `{"responseCode":"0","responseMessage":"Customer found","successful":true,`...)
		b = append(b, `"data":{"customerName":"S Customer","outstandingAmount":0.0000,"valid":true,`...)
		b = appendText(b, name)
		b = append(b, ':')
		b = appendText(b, number)
		return jsonReply(http.StatusOK, append(b, `}}`...))
	})
}
