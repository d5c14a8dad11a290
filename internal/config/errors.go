package config

import "strings"

// KeyError says what is wrong with one key. Neither Problem nor Err holds a
// secret. Load returns several of them joined.
type KeyError struct {
	Key     string // as in the YAML file, such as accounts[0].max_in_flight
	Problem string // what is wrong and what to do
	From    string // what set the value, such as "variable VENDSTREAM_NATS_URL"; "": a default, or nothing did
	Err     error  // the cause, where there is one; Problem says it too
}

func (e *KeyError) Error() string {
	if e.From == "" {
		return e.Key + ": " + e.Problem
	}
	return e.Key + ": " + e.Problem + " (from " + e.From + ")"
}

// Unwrap is the cause, or nil.
func (e *KeyError) Unwrap() error { return e.Err }

// Warning is something that is allowed and probably not meant.
type Warning struct {
	Key     string // a key, or the name of a variable
	Problem string
}

func (w Warning) String() string { return w.Key + ": " + w.Problem }

// didYouMean is " (did you mean x?)" for the name nearest to given, or "" where
// none is near.
func didYouMean(given string, names []string) string {
	best, nearest := "", max(2, len(given)/4)+1
	for _, name := range names {
		d := distance(strings.ToLower(given), strings.ToLower(name))
		if len(given) > 2 && strings.HasPrefix(name, given) {
			d = min(d, 2) // cut short: user for username
		}
		if d > 1 && len(given) < 6 && (given == "" || !strings.EqualFold(given[:1], name[:1])) {
			continue // of a short word too little is left
		}
		if d < nearest && d < len(name) {
			best, nearest = name, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// distance is the number of bytes to insert, remove or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
