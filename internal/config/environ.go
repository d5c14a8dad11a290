package config

import (
	"slices"
	"strings"
)

// Variables that are not a key's own.
const (
	envPrefix   = "VENDSTREAM_"
	envConfig   = envPrefix + "CONFIG"
	envAccount  = envPrefix + "ACCOUNT"
	envBaseURL  = "PAGAMIO_BASE_URL"
	envUsername = "PAGAMIO_USERNAME"
	envPassword = "PAGAMIO_PASSWORD"
)

// envName is the variable of a key: VENDSTREAM_DEDUPE_DIGEST_KEY for
// dedupe.digest_key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// environment reads variables as os.Environ gives them. Empty ones count as not
// set, since that is what composing tools make of a variable that nobody set.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			env[name] = value
		}
	}
	return env
}

// unknownVariables warns about names that look like a key's and are none. That
// is no error: Kubernetes, for one, sets VENDSTREAM_PORT beside a service that is
// called vendstream.
func (l *loader) unknownVariables() {
	known := []string{envConfig, envAccount}
	for _, key := range allKeys() {
		known = append(known, envName(key))
	}
	var unknown []string
	for name := range l.env {
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		l.warn(name, "no key has this variable; it is ignored"+didYouMean(name, known))
	}
}

// accountOfVariables puts the account that variables describe into the list, or
// over the one that has its name there.
func (l *loader) accountOfVariables(list []any) []any {
	given := map[string]any{}
	for key, name := range map[string]string{"base_url": envBaseURL, "username": envUsername, "password": envPassword} {
		if text, set := l.env[name]; set {
			given[key] = leaf{Text: text, From: "variable " + name}
		}
	}
	name, set := l.env[envAccount]
	if !set {
		l.unusedVariables(list)
		return list
	}
	for _, item := range list {
		account, _ := item.(map[string]any)
		if own, _ := account["name"].(leaf); own.Text != name {
			continue
		}
		for key, value := range given {
			account[key] = value
		}
		if _, set := given["password"]; set {
			delete(account, "password_env")
			delete(account, "password_file")
		}
		return list
	}
	given["name"] = leaf{Text: name, From: "variable " + envAccount}
	return append(list, given)
}

// unusedVariables warns about the vendor's variables where none says whose they
// are, and no account names them as its password_env.
func (l *loader) unusedVariables(list []any) {
	for _, name := range []string{envBaseURL, envUsername, envPassword} {
		_, set := l.env[name]
		for _, item := range list {
			account, _ := item.(map[string]any)
			if source, _ := account["password_env"].(leaf); source.Text == name {
				set = false
			}
		}
		if set {
			l.warn(name, "ignored, since "+envAccount+" does not say which account it is for")
		}
	}
}

func (l *loader) warn(key, problem string) {
	l.warnings = append(l.warnings, Warning{Key: key, Problem: problem})
}
