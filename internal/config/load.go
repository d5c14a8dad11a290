package config

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Options says where Load reads from.
type Options struct {
	Flags    *pflag.FlagSet                    // as RegisterFlags made them; nil: none
	Environ  []string                          // as os.Environ gives it; nil is empty, not the process's own
	ReadFile func(name string) ([]byte, error) // nil: of the file system, up to 1 MiB

	// WithoutPasswords leaves the passwords of accounts unread, for commands
	// that do not log in and may run where password_file does not exist.
	WithoutPasswords bool
}

// loader collects what the layers say and what is wrong with it.
type loader struct {
	opts     Options
	env      map[string]string // without empty ones
	file     string            // path of the configuration file, or ""
	errs     []error
	warnings []Warning
	bad      map[string]bool   // keys that were reported already
	origins  map[string]string // Config.Origins, for the keys of accounts
}

// Load reads and checks the configuration. The error joins a *KeyError for each
// fault; the warnings are returned in any case. A configuration without accounts
// is sound: see Config.RequireAccounts.
func Load(opts Options) (*Config, []Warning, error) {
	if opts.ReadFile == nil {
		opts.ReadFile = readFile
	}
	l := &loader{opts: opts, env: environment(opts.Environ), bad: map[string]bool{}}
	l.file = l.path()
	cfg := &Config{Origins: map[string]string{}}
	l.origins = cfg.Origins
	merged := koanf.New(".")
	for _, layer := range []struct {
		origin string
		load   func(*koanf.Koanf) error
	}{
		{OriginDefault, l.defaults},
		{OriginFile, l.fileLayer},
		{OriginEnv, l.envLayer},
		{OriginFlag, l.flagLayer},
	} {
		k := koanf.New(".")
		if err := layer.load(k); err != nil {
			return nil, l.warnings, err
		}
		for _, key := range allKeys() {
			if k.Exists(key) {
				cfg.Origins[key] = layer.origin
			}
		}
		if err := merged.Merge(k); err != nil {
			return nil, l.warnings, err
		}
	}
	l.scalars(cfg, merged)
	l.schedule(cfg, merged.Get(keySchedule))
	l.accounts(cfg, merged.Get(keyAccounts))
	l.relations(cfg)
	if more := len(l.errs) - 2*maxFaults; more > 0 {
		l.errs = append(l.errs[:2*maxFaults], fmt.Errorf("and %d more faults", more))
	}
	if len(l.errs) > 0 {
		return nil, l.warnings, errors.Join(l.errs...)
	}
	return cfg, l.warnings, nil
}

// maxFile is the largest file in bytes that is read: room for some thousand
// accounts. What is named by mistake may be a device, or somebody's database.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, errors.New("it is larger than 1 MiB")
	}
	return text, err
}

// allKeys are the keys that Origins knows.
func allKeys() []string {
	keys := make([]string, 0, len(fields)+2)
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return append(keys, keySchedule, keyAccounts)
}

// path is that of the configuration file. An empty --config asks for none, even
// where the variable names one.
func (l *loader) path() string {
	if l.opts.Flags != nil {
		if f := l.opts.Flags.Lookup(flagConfig); f != nil && f.Changed {
			return f.Value.String()
		}
	}
	return l.env[envConfig]
}

func (l *loader) defaults(k *koanf.Koanf) error {
	values := map[string]any{keySchedule: leaves(defaultSchedule), keyAccounts: []any{}}
	for _, f := range fields {
		values[f.key] = leaf{Text: f.def}
	}
	return k.Load(confmap.Provider(values, "."), nil)
}

func leaves(list []any) []any {
	out := make([]any, 0, len(list))
	for _, item := range list {
		values := map[string]any{}
		for name, text := range item.(map[string]any) {
			values[name] = leaf{Text: text.(string)}
		}
		out = append(out, values)
	}
	return out
}

func (l *loader) fileLayer(k *koanf.Koanf) error {
	if l.file == "" {
		return nil
	}
	text, err := l.opts.ReadFile(l.file)
	if err != nil {
		l.fail(&KeyError{Key: flagConfig, Problem: "cannot read the file " + l.file + ": " + cause(err), Err: err})
		return nil
	}
	value, errs := readYAML(text, flagConfig, "file "+l.file, true, rootSchema)
	l.errs = append(l.errs, errs...)
	values, _ := value.(map[string]any)
	return k.Load(confmap.Provider(values, ""), nil)
}

func (l *loader) envLayer(k *koanf.Koanf) error {
	values := map[string]any{}
	for _, key := range allKeys() {
		name := envName(key)
		text, set := l.env[name]
		if !set {
			continue
		}
		from := "variable " + name
		if shape := listSchema(key); shape != nil {
			value, errs := readYAML([]byte(text), key, from, false, shape)
			l.errs = append(l.errs, errs...)
			if value != nil {
				values[key] = value
			}
			continue
		}
		values[key] = leaf{Text: text, From: from}
	}
	l.unknownVariables()
	return k.Load(confmap.Provider(values, "."), nil)
}

// listSchema is the shape of a key that holds a list, or nil.
func listSchema(key string) *schema {
	switch key {
	case keySchedule:
		return rootSchema.members["poller"].members["schedule"]
	case keyAccounts:
		return rootSchema.members[keyAccounts]
	default:
		return nil
	}
}

func (l *loader) flagLayer(k *koanf.Koanf) error {
	if l.opts.Flags == nil {
		return nil
	}
	keys := map[string]string{}
	for _, f := range fields {
		if name := flagName(f); name != "" {
			keys[name] = f.key
		}
	}
	// Without a koanf of its own, posflag passes on only the flags that were given.
	return k.Load(posflag.ProviderWithValue(l.opts.Flags, ".", nil, func(name, text string) (string, any) {
		return keys[name], leaf{Text: text, From: "flag --" + name}
	}), nil)
}

func (l *loader) fail(err *KeyError) {
	l.bad[err.Key] = true
	l.errs = append(l.errs, err)
}
