package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// flagConfig names the configuration file.
const flagConfig = "config"

// flagValue keeps what was given as text, so that Load finds all faults at once
// and names their keys.
type flagValue struct{ text, kind string }

func (v *flagValue) String() string     { return v.text }
func (v *flagValue) Type() string       { return v.kind }
func (v *flagValue) Set(s string) error { v.text = s; return nil }

// RegisterFlags adds --config and one flag for each key with one value, secrets
// excepted. It panics where a name is taken, as pflag does.
func RegisterFlags(fs *pflag.FlagSet) {
	fs.String(flagConfig, "", "YAML configuration file (variable "+envConfig+")")
	for _, f := range fields {
		if name := flagName(f); name != "" {
			fs.Var(&flagValue{text: f.def, kind: kind(f.at(&Config{}))}, name, f.help)
		}
	}
}

// flagName is the flag of a field, or "" where it is a secret.
func flagName(f field[Config]) string {
	if _, secret := f.at(&Config{}).(*Secret); secret {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(f.key)
}
