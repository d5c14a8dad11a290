package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
)

// Config says what the simulated vendor is like. The zero value works: one
// account, the default catalog, no limits. DefaultConfig has the documented
// limits. All keys are read from YAML or JSON by ParseConfig.
type Config struct {
	// BasePath stands before every path of the vendor's. Default "/api/v1".
	BasePath string `json:"base_path" yaml:"base_path"`
	// Accounts that can log in. Default: one, acme with password acme-secret.
	Accounts []Account `json:"accounts" yaml:"accounts"`
	// Products for sale. Default: DefaultProducts.
	Products []Product `json:"products" yaml:"products"`

	// TokenShape is the answer to a login and a refresh: enveloped (default) or flat.
	TokenShape Shape `json:"token_shape" yaml:"token_shape"`
	// TokenTTL is the life of an access token, 30 minutes by default; RefreshTTL
	// that of a refresh token, 7 days by default.
	TokenTTL   Duration `json:"token_ttl" yaml:"token_ttl"`
	RefreshTTL Duration `json:"refresh_ttl" yaml:"refresh_ttl"`
	// RotateRefresh ends a refresh token when it is used (enveloped shape only,
	// as the flat one brings no new one).
	RotateRefresh bool `json:"rotate_refresh" yaml:"rotate_refresh"`
	// OmitUserTypeID leaves the account's own id out of the login answer.
	OmitUserTypeID bool `json:"omit_user_type_id" yaml:"omit_user_type_id"`

	// LoginLimit and RefreshLimit are per IP address; PurchaseLimit is per account
	// where the account has none of its own. Requests 0 is unlimited.
	LoginLimit    Limit `json:"login_limit" yaml:"login_limit"`
	RefreshLimit  Limit `json:"refresh_limit" yaml:"refresh_limit"`
	PurchaseLimit Limit `json:"purchase_limit" yaml:"purchase_limit"`

	// PurchaseShape is the ordinary answer to a purchase: flat (default) or enveloped.
	PurchaseShape Shape `json:"purchase_shape" yaml:"purchase_shape"`
	// LegacyErrors answers as the older pages do: code 1105 inside a 401, and
	// 1300 inside a 400 where fields are missing.
	LegacyErrors bool `json:"legacy_errors" yaml:"legacy_errors"`
	// Transactions is how POST /transactions behaves where the documentation is open.
	Transactions Transactions `json:"transactions" yaml:"transactions"`

	// Faults are ordered from the start, and again after a Reset.
	Faults []Fault `json:"faults" yaml:"faults"`
	// ReferenceFaults reads faults out of references (see the package comment).
	// Nil is on.
	ReferenceFaults *bool `json:"reference_faults" yaml:"reference_faults"`
	// OpenFor is how long a purchase stays open, and Hidden how long one is not
	// listed, where a reference asks for it. Default 2 s.
	OpenFor Duration `json:"open_for" yaml:"open_for"`

	// KeepBodies keeps every distinct purchase body in memory, for Body.
	KeepBodies bool `json:"keep_bodies" yaml:"keep_bodies"`
	// MaxEntries bounds the ledger of an account: beyond it the oldest ended
	// purchases are forgotten, and their references with them. 0 keeps all.
	MaxEntries int `json:"max_entries" yaml:"max_entries"`

	// Clock, where set, is the simulator's time: it stands still until it is
	// advanced, by its own method or by POST /_simulator/advance.
	Clock *ManualClock `json:"-" yaml:"-"`
	// Now and Sleep are used where Clock is nil. Default: the machine's clock.
	Now   func() time.Time                                 `json:"-" yaml:"-"`
	Sleep func(ctx context.Context, d time.Duration) error `json:"-" yaml:"-"`
}

// Account is one set of vendor credentials. The username is its name in
// faults and in the ledger.
type Account struct {
	Username string `json:"username" yaml:"username"`
	Password string `json:"password" yaml:"password"`
	// UserType is the role: MERCHANT (default) and SUB_MERCHANT may purchase, any
	// other may not.
	UserType string `json:"user_type" yaml:"user_type"`
	// UserTypeID is the account's own id, MerchantID its id in the catalog's path.
	// Defaults: 1001, 1002 … by position; the user type id.
	UserTypeID   string `json:"user_type_id" yaml:"user_type_id"`
	MerchantID   string `json:"merchant_id" yaml:"merchant_id"`
	MerchantName string `json:"merchant_name" yaml:"merchant_name"`
	// Balance is the float in ZAR, a decimal; empty is bottomless.
	Balance string `json:"balance" yaml:"balance"`
	// PurchaseLimit replaces the one of Config.
	PurchaseLimit *Limit `json:"purchase_limit" yaml:"purchase_limit"`
	// Channels that products are sold through; empty is all (else 1003).
	Channels []string `json:"channels" yaml:"channels"`
}

// Transactions is how POST /transactions behaves where the documentation is
// open (pagamio-api.md, "Transactions" and "ASSUMED").
type Transactions struct {
	// BearReference puts merchantReference on items.
	BearReference bool `json:"bear_reference" yaml:"bear_reference"`
	// FilterByReference makes the parameter merchantReference filter; otherwise
	// it is ignored and the answer is the page that one gets without it.
	FilterByReference bool `json:"filter_by_reference" yaml:"filter_by_reference"`
	// Receipts puts the receipt on items.
	Receipts bool `json:"receipts" yaml:"receipts"`
	// StartParam and EndParam name the date filter. Default startDate, endDate.
	StartParam string `json:"start_param" yaml:"start_param"`
	EndParam   string `json:"end_param" yaml:"end_param"`
}

// DefaultConfig is the vendor as documented: 5 logins and 10 refreshes a minute
// for an IP address, 10 purchases a minute for an account.
func DefaultConfig() Config {
	minute := Duration(time.Minute)
	return Config{
		LoginLimit:    Limit{Requests: 5, Per: minute},
		RefreshLimit:  Limit{Requests: 10, Per: minute},
		PurchaseLimit: Limit{Requests: 10, Per: minute},
	}
}

// ParseConfig reads YAML or JSON over DefaultConfig. Unknown keys are an error.
// Amounts are strings, durations are written as "30s".
func ParseConfig(data []byte) (Config, error) {
	tree, err := yaml.Parser().Unmarshal(data)
	if err != nil {
		return Config{}, fmt.Errorf("simulator: read configuration: %w", err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return Config{}, fmt.Errorf("simulator: read configuration: %w", err)
	}
	cfg := DefaultConfig()
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return Config{}, fmt.Errorf("simulator: read configuration: %w", err)
	}
	return cfg, nil
}

// withDefaults fills in what was left out, and reports everything that cannot be.
func (cfg Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("simulator: "+format, args...)) }

	fill(&cfg.BasePath, "/api/v1")
	cfg.BasePath = strings.TrimRight("/"+strings.TrimLeft(cfg.BasePath, "/"), "/")
	fill(&cfg.TokenShape, Enveloped)
	fill(&cfg.PurchaseShape, Flat)
	for key, shape := range map[string]Shape{"token_shape": cfg.TokenShape, "purchase_shape": cfg.PurchaseShape} {
		if !shape.valid() {
			bad("%s: %q is not a shape", key, shape)
		}
	}
	fill(&cfg.TokenTTL, Duration(30*time.Minute))
	fill(&cfg.RefreshTTL, Duration(7*24*time.Hour))
	fill(&cfg.OpenFor, Duration(2*time.Second))
	fill(&cfg.Transactions.StartParam, "startDate")
	fill(&cfg.Transactions.EndParam, "endDate")
	if cfg.MaxEntries < 0 {
		bad("max_entries: must not be negative")
	}
	if cfg.Clock != nil {
		cfg.Now, cfg.Sleep = cfg.Clock.Now, cfg.Clock.Sleep
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	errs = append(errs,
		cfg.LoginLimit.check("login_limit"),
		cfg.RefreshLimit.check("refresh_limit"),
		cfg.PurchaseLimit.check("purchase_limit"))

	accounts, err := accountsWithDefaults(cfg.Accounts, cfg.PurchaseLimit)
	errs = append(errs, err)
	cfg.Accounts = accounts
	if len(cfg.Products) == 0 {
		cfg.Products = DefaultProducts()
	}
	for i, p := range cfg.Products {
		if err := p.check(); err != nil {
			bad("products[%d]: %w", i, err)
		}
	}
	return cfg, errors.Join(errs...)
}

func accountsWithDefaults(given []Account, limit Limit) ([]Account, error) {
	if len(given) == 0 {
		given = []Account{{Username: "acme", Password: "acme-secret"}}
	}
	var errs []error
	seen := make(map[string]bool)
	accounts := make([]Account, 0, len(given))
	for i, a := range given {
		if a.Username == "" || a.Password == "" {
			errs = append(errs, fmt.Errorf("simulator: accounts[%d]: username and password are required", i))
		}
		if seen[a.Username] {
			errs = append(errs, fmt.Errorf("simulator: accounts[%d]: username %q stands twice", i, a.Username))
		}
		seen[a.Username] = true
		fill(&a.UserType, userTypeMerchant)
		fill(&a.UserTypeID, fmt.Sprint(1001+i))
		fill(&a.MerchantID, a.UserTypeID)
		fill(&a.MerchantName, a.Username)
		if a.Balance != "" {
			if _, ok := parseAmount(a.Balance); !ok {
				errs = append(errs, fmt.Errorf("simulator: accounts[%d]: balance %q is not a decimal", i, a.Balance))
			}
		}
		if a.PurchaseLimit == nil {
			a.PurchaseLimit = &limit
		}
		errs = append(errs, a.PurchaseLimit.check(fmt.Sprintf("accounts[%d].purchase_limit", i)))
		accounts = append(accounts, a)
	}
	return accounts, errors.Join(errs...)
}

// fill sets a value that was left at zero.
func fill[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

// Duration is a time.Duration that is written as "1m30s" in YAML and JSON.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("simulator: duration: %w", err)
	}
	if parsed < 0 {
		return fmt.Errorf("simulator: duration %s is negative", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Limits on an amount that keep arithmetic on a hostile literal bounded.
const (
	maxAmountLiteral  = 48
	maxAmountExponent = 30
)

// parseAmount reads a decimal literal that obeys the JSON number grammar, or a
// plain decimal of the configuration. Money is never held as floating point.
func parseAmount(literal string) (*big.Rat, bool) {
	if len(literal) > maxAmountLiteral || strings.ContainsAny(literal, "/_xXpPbBoO") {
		return nil, false
	}
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		exponent, ok := new(big.Int).SetString(strings.TrimPrefix(literal[i+1:], "+"), 10)
		if !ok || !exponent.IsInt64() || exponent.Int64() > maxAmountExponent || exponent.Int64() < -maxAmountExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(literal)
}
