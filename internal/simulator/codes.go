package simulator

// Codes that the simulator gives by itself (pagamio-api.md, "Error codes").
const (
	codeSuccess          = "0"
	codeFailed           = "999"
	codeNotSupported     = "1000"
	codeFieldsMissing    = "1001"
	codeInactive         = "1002"
	codeWrongChannel     = "1003"
	codeInvalidAmount    = "1004"
	codeInvalidPhone     = "1005"
	codeDuplicate        = "1006"
	codeInvalidFormat    = "1008"
	codeNotForAccount    = "1009"
	codeInvalidProduct   = "1010"
	codeNoBalance        = "1103"
	codeUnknownCustomer  = "1104"
	codeProviderFailed   = "1203"
	codeOldUnauthorized  = "1105"
	codeOldFieldsMissing = "1300"
)

type class uint8

const (
	classUnknown class = iota // not in the table, or leaves the outcome open
	classTerminal
	classTransient
)

type codeMeaning struct {
	message string
	class   class
}

// codes is the table of pagamio-api.md, "Error codes".
var codes = map[string]codeMeaning{
	"0":    {"Transaction successful", classUnknown},
	"999":  {"Purchase failed", classTerminal},
	"1000": {"Product not supported", classTerminal},
	"1001": {"Required fields missing", classTerminal},
	"1002": {"Product inactive", classTerminal},
	"1003": {"Product not available on this channel", classTerminal},
	"1004": {"Invalid amount", classTerminal},
	"1005": {"Invalid phone number", classTerminal},
	"1006": {"Duplicate transaction found", classUnknown},
	"1007": {"Invalid tender amount", classTerminal},
	"1008": {"Invalid field format", classTerminal},
	"1009": {"Product not available for this account", classTerminal},
	"1010": {"Invalid product", classTerminal},
	"1100": {"Account not found", classTerminal},
	"1101": {"Account inactive", classTerminal},
	"1102": {"Customer not found", classTerminal},
	"1103": {"Insufficient balance", classTerminal},
	"1104": {"Customer account or meter not found", classTerminal},
	"1105": {"Customer account blocked", classTerminal},
	"1106": {"Meter blocked", classTerminal},
	"1107": {"Meter not registered for vending", classTerminal},
	"1200": {"Provider error", classTransient},
	"1201": {"Provider system error", classTransient},
	"1202": {"Provider unavailable", classTransient},
	"1203": {"Failed at the provider", classTerminal},
	"1204": {"Provider timed out", classUnknown},
	"1205": {"Transaction already processed", classUnknown},
	"1206": {"Out of stock", classTerminal},
	"1300": {"Required fields missing.", classTerminal},
}

func classOf(code string) class { return codes[code].class }

func messageOf(code string) string {
	if m, ok := codes[code]; ok {
		return m.message
	}
	return "Unexpected response " + code
}
