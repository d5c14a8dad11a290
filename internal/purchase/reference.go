package purchase

import (
	"encoding/base64"
	"errors"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// MaxReference is the longest merchantReference in bytes (contract, "Subjects and streams").
const MaxReference = 128

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// isPlainToken reports whether s is 1 to 128 letters, digits, "_", "=" and "-".
func isPlainToken(s string) bool {
	if s == "" || len(s) > MaxReference {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '=', c == '-':
		default:
			return false
		}
	}
	return true
}

// ValidAccount reports whether name can be an account's (contract, "Accounts").
func ValidAccount(name string) bool { return accountName.MatchString(name) }

// ValidReference reports whether ref can name a purchase: 1 to 128 bytes of
// valid UTF-8 without control characters and without white space at either end.
func ValidReference(ref string) bool {
	if ref == "" || len(ref) > MaxReference || !utf8.ValidString(ref) {
		return false
	}
	for _, r := range ref {
		if unicode.IsControl(r) {
			return false
		}
	}
	first, _ := utf8.DecodeRuneInString(ref)
	last, _ := utf8.DecodeLastRuneInString(ref)
	return !unicode.IsSpace(first) && !unicode.IsSpace(last)
}

// Token is the reference as one token of a subject: itself where it is made of
// letters, digits, "_", "=" and "-", else "~" and its unpadded base64url.
func Token(ref string) string {
	if isPlainToken(ref) {
		return ref
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(ref))
}

// ErrToken is returned for a subject token that no reference has.
var ErrToken = errors.New("purchase: not the subject token of a reference")

// FromToken is the inverse of Token.
func FromToken(token string) (string, error) {
	if isPlainToken(token) {
		return token, nil
	}
	if len(token) < 2 || token[0] != '~' {
		return "", ErrToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token[1:])
	// The decoder skips line ends: only the very token that Token makes is taken.
	if err != nil || !ValidReference(string(raw)) || Token(string(raw)) != token {
		return "", ErrToken
	}
	return string(raw), nil
}
