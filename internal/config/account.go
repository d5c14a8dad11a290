package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// sandboxURL is the vendor's sandbox: what an account talks to unless it says
// otherwise, so that nobody spends money by leaving a key out.
const sandboxURL = "https://vas-sandbox-api.pagamio.tech/api/v1"

var accountFields = []field[Account]{
	{
		key: "name",
		at:  func(a *Account) any { return &a.Name },
		check: func(a *Account) string {
			if purchase.ValidAccount(a.Name) {
				return ""
			}
			return "must be 1 to 32 of a-z, 0-9, _ and -, the first a letter or digit"
		},
	},
	{
		key: "base_url", def: sandboxURL,
		at:    func(a *Account) any { return &a.BaseURL },
		check: func(a *Account) string { return checkBaseURL(a.BaseURL) },
	},
	{
		key: "username",
		at:  func(a *Account) any { return &a.Username },
		check: func(a *Account) string {
			if a.Username == "" {
				return "is missing: give it here" + orVariable(envUsername)
			}
			return ""
		},
	},
	{key: "password", at: func(a *Account) any { return &a.Password }},
	{key: "password_env", at: func(a *Account) any { return &a.PasswordEnv }},
	{key: "password_file", at: func(a *Account) any { return &a.PasswordFile }},
	{
		key: "user_type", def: "MERCHANT",
		at:    func(a *Account) any { return &a.UserType },
		check: oneOf(func(a *Account) string { return a.UserType }, "MERCHANT", "SUB_MERCHANT"),
	},
	{key: "user_type_id", at: func(a *Account) any { return &a.UserTypeID }},
	{key: "merchant_id", at: func(a *Account) any { return &a.MerchantID }},
	{key: "channel_id", at: func(a *Account) any { return &a.ChannelID }},
	{
		key: "purchase_limit.requests", def: "10",
		at: func(a *Account) any { return &a.PurchaseLimit.Requests },
		check: func(a *Account) string {
			if a.PurchaseLimit.Requests < 0 {
				return "must not be below zero; 0 is unlimited"
			}
			return ""
		},
	},
	{
		key: "purchase_limit.per", def: "1m",
		at:    func(a *Account) any { return &a.PurchaseLimit.Per },
		check: positive(func(a *Account) *time.Duration { return &a.PurchaseLimit.Per }),
	},
	{
		key: "max_in_flight", def: "64",
		at: func(a *Account) any { return &a.MaxInFlight },
		check: func(a *Account) string {
			if a.MaxInFlight < 1 {
				return "must be at least 1"
			}
			return ""
		},
	},
	{
		key: "on_insufficient_balance", def: FailBalance,
		at:    func(a *Account) any { return &a.OnInsufficientBalance },
		check: oneOf(func(a *Account) string { return a.OnInsufficientBalance }, FailBalance, HoldBalance),
	},
	{key: "lookup.electricity", def: "false", at: func(a *Account) any { return &a.Lookup.Electricity }},
	{key: "lookup.bill-payment", def: "false", at: func(a *Account) any { return &a.Lookup.BillPayment }},
	{key: "lookup.money-transfer", def: "false", at: func(a *Account) any { return &a.Lookup.MoneyTransfer }},
}

func (l *loader) accounts(cfg *Config, value any) {
	list, _ := value.([]any) // else reported by readYAML
	list = l.accountOfVariables(list)
	if len(list) > 0 && l.env[envAccount] != "" {
		cfg.Origins[keyAccounts] = OriginEnv
	}
	seen := map[string]string{}
	for i, item := range list {
		values, ok := item.(map[string]any)
		if !ok {
			continue // reported by readYAML
		}
		key := fmt.Sprintf("%s[%d]", keyAccounts, i)
		account := l.account(key, values)
		if first, twice := seen[account.Name]; twice {
			l.fail(&KeyError{Key: key + ".name", Problem: "is the name of " + first + " too; names must differ"})
		} else if account.Name != "" {
			seen[account.Name] = key
		}
		cfg.Accounts = append(cfg.Accounts, account)
	}
}

func (l *loader) account(key string, values map[string]any) Account {
	var account Account
	decode(l, &account, accountFields, key, func(name string) any { return lookup(values, name) })
	account.BaseURL = strings.TrimRight(account.BaseURL, "/")
	l.password(key, &account, values)
	return account
}

// password checks that an account has one password, and reads it.
func (l *loader) password(key string, account *Account, values map[string]any) {
	const all = "one of password, password_env and password_file"
	var given []string
	var from string
	for _, name := range []string{"password", "password_env", "password_file"} {
		if l.bad[key+"."+name] {
			return
		}
		if value, _ := values[name].(leaf); value.Text != "" {
			given, from = append(given, name), value.From
		}
	}
	fail := func(name, problem string, err error) {
		l.fail(&KeyError{Key: key + "." + name, Problem: problem, From: from, Err: err})
	}
	switch {
	case len(given) == 0:
		fail("password", "is missing: give "+all+orVariable(envPassword), nil)
	case len(given) > 1:
		fail(given[len(given)-1], "is given beside "+given[0]+": give "+all, nil)
	case l.opts.WithoutPasswords || given[0] == "password":
	case given[0] == "password_env":
		text, set := l.env[account.PasswordEnv]
		if !set {
			fail(given[0], "names "+variable(account.PasswordEnv)+", which is not set or empty", nil)
		}
		account.Password = NewSecret(text)
	default:
		text, err := l.opts.ReadFile(account.PasswordFile)
		if err != nil {
			fail(given[0], "cannot read "+account.PasswordFile+": "+cause(err), err)
			return
		}
		// Editors and here-documents end a file with a line feed that is no
		// part of the password.
		password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if password == "" {
			fail(given[0], "names "+account.PasswordFile+", which is empty", nil)
		}
		account.Password = NewSecret(password)
	}
}

// orVariable says how a value is given without the file.
func orVariable(name string) string {
	return ", or the variable " + name + " for the account that " + envAccount + " names"
}

var usualVariable = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)

// variable names a variable in an error, unless it may be a password that was
// given in the wrong place.
func variable(name string) string {
	if usualVariable.MatchString(name) {
		return "the variable " + name
	}
	return "a variable"
}
