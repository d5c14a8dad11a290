package purchase

// Codes of the vendor's table that this program gives itself
// (pagamio-api.md, "Error codes"). How an answer's code is classed stands in
// internal/vendor.
const (
	CodeSuccess         = "0"
	CodePurchaseFailed  = "999"
	CodeFieldsMissing   = "1001"
	CodeInvalidAmount   = "1004"
	CodeInvalidPhone    = "1005"
	CodeInvalidFormat   = "1008"
	CodeNotAvailable    = "1009" // product not available for this account
	CodeForbidden       = "403"
	CodeExpired         = "EXPIRED" // of the contract, not the vendor's
	messageExpired      = "The purchase was not sent before it expired."
	messageBadExpiry    = "Invalid field format: header Vendstream-Expires-At is not an RFC 3339 time."
	messageMissing      = "Required fields missing: "
	messageWrongType    = "Invalid field format: "
	messageAmount       = "Invalid amount: it must be a decimal above zero."
	messageMobileNumber = "Invalid phone number: mobileNumber must be +27 and nine digits."
)

// Class says what kind of failure a FAILED result is (contract, "Result message").
type Class string

// The classes of the contract; there are no others.
const (
	ClassValidation    Class = "validation"
	ClassAccount       Class = "account"
	ClassBalance       Class = "balance"
	ClassProvider      Class = "provider"
	ClassAuthorization Class = "authorization"
	ClassLookup        Class = "lookup"
	ClassExpired       Class = "expired"
	ClassOther         Class = "other"
)

// Source says what settled a purchase (contract, "Result message").
type Source string

// The sources of the contract; there are no others.
const (
	SourcePurchase   Source = "purchase"
	SourcePoll       Source = "poll"
	SourceValidation Source = "validation"
	SourceLookup     Source = "lookup"
	SourceExpiry     Source = "expiry"
	SourceReconcile  Source = "reconcile"
	SourceOperator   Source = "operator"
)
