package output

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable is foreign text fit for a terminal: runes that do not print, such as
// control characters, marks that turn the direction of writing and bytes that
// are no UTF-8, are shown as Go escapes. Text that has none is returned as it is.
func Printable(text string) string {
	var out strings.Builder
	clean := true
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if strconv.IsPrint(r) && !(r == utf8.RuneError && size == 1) {
			if !clean {
				out.WriteRune(r)
			}
			i += size
			continue
		}
		if clean {
			out.WriteString(text[:i])
			clean = false
		}
		quoted := strconv.Quote(text[i : i+size])
		out.WriteString(quoted[1 : len(quoted)-1])
		i += size
	}
	if clean {
		return text
	}
	return out.String()
}
