package publisher

import "encoding/json"

// NotThere is the answer that is known without being read.
func NotThere() []byte { return notThere }

const MostAsked = mostAsked

const (
	FewestShown = fewestShown
	OpenForRead = openForRead
)

// Present reads the answer to a direct get.
var Present = present

// Led reports whether a leader answered so.
func Led(info []byte) (bool, error) {
	i := new(streamInfo)
	err := json.Unmarshal(info, i)
	return i.led(), err
}
