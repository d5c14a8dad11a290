package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
)

// errTwoValues: the flat and the enveloped part of an answer differ.
var errTwoValues = errors.New("the answer gives two values of one field")

// answer holds the signals of a purchase or lookup answer, from the flat shape
// and the enveloped one alike (pagamio-api.md, "Purchase", documented responses).
// An answer may mix the two: every signal is kept, and classify.go asks that
// they agree.
type answer struct {
	codes         []string // responseCode and error.code, wherever they stand
	rejections    []string // rejectionCode; "0", which rejects nothing, is left out
	statuses      []string // status
	flags         []bool   // success and successful
	failureNoted  bool     // an error or a rejectionReason is there
	references    []string // merchantReference
	transactionID string
	message       string
	receipt       json.RawMessage // as it was sent, nil where there is none
	data          json.RawMessage // as it was sent, nil where there is none
}

// Fields that are read, by level. A lookup's data is the customer's record: it
// may bear a status or an error of its own kind, so only the code is read there.
var (
	signalFields = []string{
		"responseCode", "responseMessage", "message", "rejectionCode", "rejectionReason", "error",
		"status", "success", "successful", "transactionId", "merchantReference", "receipt",
	}
	topFields        = append([]string{"data"}, signalFields...)
	lookupDataFields = []string{"responseCode", "responseMessage"}
	errorFields      = []string{"code", "message"}
)

// readAnswer reads a body. An error means that the body, taken as a whole, says
// nothing; it is one of the faults of object.go or errTwoValues.
func readAnswer(body []byte, dataFields []string) (answer, error) {
	if err := wholeJSON(body); err != nil {
		return answer{}, err
	}
	top, err := readObject(body, topFields)
	if err != nil {
		return answer{}, err
	}
	var a answer
	if err := a.add(top); err != nil {
		return answer{}, err
	}
	a.data = top.get("data")
	if a.data == nil {
		return a, nil
	}
	data, err := readObject(a.data, dataFields)
	if err != nil {
		return answer{}, err
	}
	if err := a.add(data); err != nil {
		return answer{}, err
	}
	return a, nil
}

// add takes the signals of one level.
func (a *answer) add(o object) error {
	if err := a.addTexts(o); err != nil {
		return err
	}
	for _, name := range []string{"success", "successful"} {
		value, there, err := o.flag(name)
		if err != nil {
			return err
		}
		if there {
			a.flags = append(a.flags, value)
		}
	}
	if err := a.addError(o); err != nil {
		return err
	}
	for _, name := range []string{"responseMessage", "message", "rejectionReason"} {
		a.say(o.message(name))
	}
	if o.message("rejectionReason") != "" {
		a.failureNoted = true
	}
	return a.addReceipt(o.get("receipt"))
}

func (a *answer) addTexts(o object) error {
	for _, into := range []struct {
		name string
		list *[]string
	}{
		{"responseCode", &a.codes},
		{"rejectionCode", &a.rejections},
		{"status", &a.statuses},
		{"merchantReference", &a.references},
	} {
		text, err := o.text(into.name)
		if err != nil {
			return err
		}
		if text != "" && (into.name != "rejectionCode" || text != "0") {
			*into.list = append(*into.list, text)
		}
	}
	id, err := o.text("transactionId")
	if err != nil {
		return err
	}
	if id != "" && a.transactionID != "" && id != a.transactionID {
		return errTwoValues
	}
	if id != "" {
		a.transactionID = id
	}
	return nil
}

// addError reads error, which is an object, or a text as in a 429.
func (a *answer) addError(o object) error {
	raw := o.get("error")
	if raw == nil {
		return nil
	}
	if raw[0] != '{' {
		text, err := o.text("error")
		a.failureNoted = a.failureNoted || text != ""
		return err
	}
	a.failureNoted = true
	fields, err := readObject(raw, errorFields)
	if err != nil {
		return err
	}
	code, err := fields.text("code")
	if err != nil {
		return err
	}
	if code != "" {
		a.codes = append(a.codes, code)
	}
	a.say(fields.message("message"))
	return nil
}

// addReceipt keeps a receipt untouched. Two that differ are an answer that
// cannot be used: it is not known which PIN or token the customer bought.
func (a *answer) addReceipt(raw json.RawMessage) error {
	if raw == nil || string(raw) == `""` {
		return nil
	}
	if a.receipt != nil && !bytes.Equal(a.receipt, raw) {
		return errTwoValues
	}
	a.receipt = raw
	return nil
}

// say keeps the first message.
func (a *answer) say(message string) {
	if a.message == "" {
		a.message = message
	}
}
