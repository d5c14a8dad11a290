package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

const mask = "***"

// Secret is a text that no printer shows: fmt with every verb, JSON, YAML and
// text encoders print "***", or nothing where it is empty. Only Reveal gives it.
type Secret struct{ text string }

// NewSecret makes a Secret of text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.text == "" }

func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return mask
}

// GoString is String, so that %#v does not show the secret.
func (s Secret) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Secret) Format(f fmt.State, verb rune) { formatText(f, verb, s.String()) }

// MarshalText is String. encoding/json uses it too, but is given its own method
// so that a reader need not know.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is String as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML is String.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// URL is a server's address, or several separated by commas. Printed in any way
// it shows no password and no token; only Reveal gives the whole.
type URL struct{ text string }

// NewURL makes a URL of text, unchecked.
func NewURL(text string) URL { return URL{text} }

// Reveal is the address with its password.
func (u URL) Reveal() string { return u.text }

var secretParameter = regexp.MustCompile(`(?i)pass|pwd|token|secret|auth|key|jwt|seed`)

// String keeps the user and masks the password. A user without a password is
// masked too: for NATS it is a token. What cannot be read is masked as a whole.
func (u URL) String() string {
	if u.text == "" {
		return ""
	}
	parts := strings.Split(u.text, ",")
	for _, part := range parts {
		if !strings.Contains(part, "://") {
			parts = []string{u.text} // the comma may be one of a password
			break
		}
	}
	for i, part := range parts {
		parts[i] = maskURL(part)
	}
	return strings.Join(parts, ",")
}

func maskURL(text string) string {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return mask // an @ behind the host may be the one that ends a password with a slash in it
	}
	user := ""
	if u.User != nil {
		user = mask + "@"
		if _, has := u.User.Password(); has {
			user = url.User(u.User.Username()).String() + ":" + mask + "@"
		}
	}
	query := ""
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, pair := range pairs {
			if name, _, found := strings.Cut(pair, "="); !found || secretParameter.MatchString(name) {
				pairs[i] = name + "=" + mask
				if !found {
					pairs[i] = mask
				}
			}
		}
		query = "?" + strings.Join(pairs, "&")
	}
	return u.Scheme + "://" + user + u.Host + u.EscapedPath() + query
}

// GoString is String.
func (u URL) GoString() string { return u.String() }

// Format prints String for every verb.
func (u URL) Format(f fmt.State, verb rune) { formatText(f, verb, u.String()) }

// MarshalText is String.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// MarshalYAML is String.
func (u URL) MarshalYAML() (any, error) { return u.String(), nil }

// formatText prints text as a string would be, and in full for verbs that
// strings do not have.
func formatText(f fmt.State, verb rune, text string) {
	switch verb {
	case 's', 'q', 'x', 'X':
		fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	default:
		fmt.Fprint(f, text)
	}
}
