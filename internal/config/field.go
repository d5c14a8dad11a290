package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// field is one key with one value. The tables of fields are what everything
// else follows: flags, variables, reading, checking and showing.
type field[T any] struct {
	key   string
	def   string // as it would be written; "" is the zero value
	help  string
	at    func(*T) any    // a pointer to where the value goes
	check func(*T) string // what is wrong with the value once read, or ""
}

// kind is how the flags' help names the type of a field.
func kind(at any) string {
	switch at.(type) {
	case *int:
		return "int"
	case *bool:
		return "bool"
	case *float64:
		return "number"
	case *time.Duration:
		return "duration"
	default:
		return "string"
	}
}

// set reads text into the field that at points to and says what is wrong with
// it, or "". It never repeats the text, which may be a secret in the wrong place.
func set(at any, text string) string {
	switch at := at.(type) {
	case *string:
		*at = text
	case *Secret:
		*at = Secret{text}
	case *URL:
		*at = URL{text}
	case *bool:
		switch text {
		case "true", "false":
			*at = text == "true"
		default:
			return "must be true or false"
		}
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return "must be a whole number, such as 5"
		}
		*at = n
	case *float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "must be a number, such as 0.25"
		}
		*at = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return "must be a duration with its unit, such as 500ms, 30s, 5m or 168h"
		}
		*at = d
	default:
		panic(fmt.Sprintf("config: no reader for %T", at))
	}
	return ""
}

// shown is the value that at points to, fit to be printed.
func shown(at any) any {
	switch at := at.(type) {
	case *string:
		return *at
	case *Secret:
		return at.String()
	case *URL:
		return at.String()
	case *int:
		return *at
	case *bool:
		return *at
	case *float64:
		return *at
	case *time.Duration:
		return duration(*at)
	default:
		panic(fmt.Sprintf("config: no printer for %T", at))
	}
}

// duration is d without the zero units that time.Duration prints: 168h, not
// 168h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-2]
	}
	return text
}

func positive[T any](at func(*T) *time.Duration) func(*T) string {
	return func(t *T) string {
		if *at(t) <= 0 {
			return "must be above zero"
		}
		return ""
	}
}

func oneOf[T any](at func(*T) string, names ...string) func(*T) string {
	return func(t *T) string {
		for _, name := range names {
			if at(t) == name {
				return ""
			}
		}
		return "must be one of " + strings.Join(names, ", ")
	}
}
