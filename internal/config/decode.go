package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/knadh/koanf/v2"
)

func (l *loader) scalars(cfg *Config, merged *koanf.Koanf) {
	decode(l, cfg, fields, "", merged.Get)
	if path := cfg.NATS.CredentialsFile; path != "" {
		if _, err := l.opts.ReadFile(path); err != nil {
			l.fail(&KeyError{Key: "nats.credentials_file", Problem: "cannot read " + path + ": " + cause(err), Err: err})
		}
	}
}

// decode fills target by its fields. A field without a value has its default; a
// field whose value cannot be read is reported and not checked.
func decode[T any](l *loader, target *T, fields []field[T], path string, get func(key string) any) {
	for _, f := range fields {
		key := join(path, f.key)
		value := leaf{Text: f.def}
		switch given := get(f.key).(type) {
		case broken:
			l.bad[key] = true
			continue
		case leaf:
			value = given
		}
		if strings.HasPrefix(path, keyAccounts) {
			l.origins[key] = origin(value.From)
		}
		problem := ""
		if at := f.at(target); value.Text != "" || kind(at) == "string" {
			problem = set(at, value.Text)
		} else if value.From != "" {
			problem = "must not be empty"
		}
		if problem == "" && f.check != nil {
			problem = f.check(target)
		}
		if problem != "" {
			l.fail(&KeyError{Key: key, Problem: problem, From: value.From})
		}
	}
}

// origin is where a value of an account comes from; they have no flags.
func origin(from string) string {
	switch {
	case from == "":
		return OriginDefault
	case strings.HasPrefix(from, "variable "):
		return OriginEnv
	default:
		return OriginFile
	}
}

// lookup finds a key of dotted names in nested maps.
func lookup(values map[string]any, key string) any {
	name, rest, nested := strings.Cut(key, ".")
	if !nested {
		return values[name]
	}
	switch inner := values[name].(type) {
	case map[string]any:
		return lookup(inner, rest)
	case broken:
		return inner
	default:
		return nil
	}
}

// schedule reads the poll schedule: steps that end later and later, and a last
// one that never ends.
func (l *loader) schedule(cfg *Config, value any) {
	list, ok := value.([]any)
	if !ok {
		return // reported by readYAML
	}
	if len(list) == 0 {
		l.fail(&KeyError{Key: keySchedule, Problem: "needs at least one step, such as {every: 5m}"})
	}
	before := Step{}
	for i, item := range list {
		values, ok := item.(map[string]any)
		if !ok {
			continue
		}
		key, last := fmt.Sprintf("%s[%d]", keySchedule, i), i == len(list)-1
		step := Step{}
		decodeStep(l, &step, key, values)
		_, until := values["until"]
		_, every := values["every"]
		switch {
		case !every:
			l.fail(&KeyError{Key: key + ".every", Problem: "is missing"})
		case l.bad[key+".until"]:
		case last && until:
			l.fail(&KeyError{Key: key + ".until", Problem: "must not be set in the last step, which has no end: add a step with every alone"})
		case !last && !until:
			l.fail(&KeyError{Key: key + ".until", Problem: "is missing: only the last step has no end"})
		case !last && step.Until <= before.Until:
			l.fail(&KeyError{Key: key + ".until", Problem: "must be later than that of the step before"})
		}
		before = step
		cfg.Poller.Schedule = append(cfg.Poller.Schedule, step)
	}
}

// decodeStep reads the keys that a step has; a missing one is for schedule to judge.
func decodeStep(l *loader, step *Step, key string, values map[string]any) {
	for i, f := range stepFields {
		if _, given := values[f.key]; given {
			decode(l, step, stepFields[i:i+1], key, func(name string) any { return values[name] })
		}
	}
}

// relations checks keys against each other, unless one was reported already.
func (l *loader) relations(cfg *Config) {
	sound := func(keys ...string) bool {
		for _, key := range keys {
			if l.bad[key] {
				return false
			}
		}
		return true
	}
	if sound("retry.base", "retry.max") && cfg.Retry.Base > cfg.Retry.Max {
		l.fail(&KeyError{Key: "retry.base", Problem: "must not be above retry.max, which is " + duration(cfg.Retry.Max)})
	}
	if sound("dedupe.lease", "vendor.timeout") && cfg.Dedupe.Lease <= cfg.Vendor.Timeout {
		l.warn("dedupe.lease", fmt.Sprintf("%s is not above vendor.timeout, %s: a claim can run out while its call to the vendor is still open, "+
			"and another process may then make the same call; only the vendor's own idempotency prevents a second purchase. Set it well above vendor.timeout",
			duration(cfg.Dedupe.Lease), duration(cfg.Vendor.Timeout)))
	}
	if sound("dedupe.ttl") && cfg.Dedupe.TTL < minTTL {
		l.warn("dedupe.ttl", duration(cfg.Dedupe.TTL)+" is short: a repeat that comes later is recognised by reading the result from JetStream, which is slower. Set it to 1h or more")
	}
	if sound("catalog.refresh") && cfg.Catalog.Refresh < minRefresh {
		l.warn("catalog.refresh", duration(cfg.Catalog.Refresh)+" is short: each fetch is a dozen calls to the vendor. A purchase is refused on a fresh fetch only, so a long one does no harm. Set it to 1m or more")
	}
	if sound("retention.requests", "retention.results") && cfg.Retention.Results < cfg.Retention.Requests {
		l.warn("retention.results", duration(cfg.Retention.Results)+" is below retention.requests, "+duration(cfg.Retention.Requests)+
			": requests outlive their results and cannot be audited against them. Set it above retention.requests")
	}
}

// cause is the reason of a file's error without the path, which the caller names.
func cause(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
