// Package config is the effective configuration: what the flags, the
// environment, the YAML file and the defaults say together, in that order of
// precedence, checked as a whole.
//
// A key "a.b" is the variable VENDSTREAM_A_B and, where it holds one value and
// no secret, the flag --a-b. The list keys poller.schedule and accounts have no
// flag; their variables take YAML in one line. An empty variable counts as not
// set; an empty flag does not.
//
// Secrets have no flag, since everyone on a machine can read the arguments of
// its processes. They print as "***", and no error or warning holds one.
package config

import (
	"strings"
	"time"
)

// Config is a checked configuration. It does not change after Load.
type Config struct {
	NATS      NATS
	Redis     Redis
	HTTP      HTTP
	Log       Log
	Subjects  Subjects
	Dedupe    Dedupe
	Retention Retention
	Retry     Retry
	Poller    Poller
	Vendor    Vendor
	Catalog   Catalog
	Audit     Audit
	Accounts  []Account // in the order given; names are unique; may be empty

	// Origins says where each key got its value, those of accounts one by one:
	// OriginDefault, OriginFile, OriginEnv or OriginFlag. The keys are those of
	// Rows, and "accounts" for the list as such.
	Origins map[string]string
}

// Where a value comes from, lowest precedence first.
const (
	OriginDefault = "default"
	OriginFile    = "file"
	OriginEnv     = "env"
	OriginFlag    = "flag"
)

// NATS says how the NATS servers are reached.
type NATS struct {
	URL             URL    // default nats://127.0.0.1:4222; a list is separated by commas
	CredentialsFile string // path of a NATS credentials file; "": none
	Replicas        int    // copies of each stream that provision makes: 1, 3 or 5; default 1
}

// Redis says how Redis is reached.
type Redis struct {
	URL URL // default redis://127.0.0.1:6379/0
}

// HTTP is the server of /healthz, /readyz and /metrics.
type HTTP struct {
	Addr string // host:port, default 127.0.0.1:8080; "" turns the server off
}

// Log says what is logged to standard error.
type Log struct {
	Level  string // trace, debug, info (default), warn or error
	Format string // json (default) or console
}

// Subjects names subjects and streams.
type Subjects struct {
	Prefix string // default "purchases": tokens of letters, digits, "_" and "-", joined by dots
}

// StreamPrefix is what the stream names begin with: the prefix in upper case,
// its dots made underscores, since a stream's name cannot hold a dot. "a.b"
// gives "A_B", as in A_B_REQUESTS.
func (s Subjects) StreamPrefix() string {
	return strings.ToUpper(strings.ReplaceAll(s.Prefix, ".", "_"))
}

// Dedupe is about the claims in Redis.
type Dedupe struct {
	Lease     time.Duration // how long a claim holds without being renewed; default 60s
	TTL       time.Duration // how long a settled claim is remembered; default 168h
	DigestKey Secret        // where set, digests are HMAC-SHA-256 with this key
}

// Retention says how long JetStream keeps what is settled.
type Retention struct {
	Requests time.Duration // default 720h
	Results  time.Duration // default 2160h
}

// Retry is the back-off of calls to the vendor.
type Retry struct {
	Base     time.Duration // the first wait; default 1s
	Max      time.Duration // the longest wait; default 60s
	Jitter   float64       // part of a wait that is random, 0 to 1; default 0.25
	Attempts int           // calls in all, at least 1; default 5
}

// Poller says when open purchases are looked up.
type Poller struct {
	// Schedule is never empty; the last step, and only it, has no Until.
	// Default: every 5s for 1m, every 30s until 5m, every 5m thereafter.
	Schedule      []Step
	EscalateAfter time.Duration // how long a purchase may stay open before it is escalated; default 5m, 0 is at once
	DueIndex      bool          // keep in Redis when open purchases are due, and not in a consumer; default false
}

// Step is one part of the poll schedule.
type Step struct {
	Until time.Duration // since submission; 0: for ever
	Every time.Duration
}

// Vendor is about calls to the vendor.
type Vendor struct {
	Timeout time.Duration // of one call; default 30s
}

// Catalog is about the products of accounts that have a MerchantID.
type Catalog struct {
	Refresh time.Duration // between fetches; default 15m
}

// Audit is about the audit of recent requests beside the consumers.
type Audit struct {
	Every time.Duration // between looks; default 5m, 0 is never
}

// Account is one set of vendor credentials.
type Account struct {
	Name     string
	BaseURL  string // without a slash at the end; default: the vendor's sandbox
	Username string
	// Password is the effective one, wherever it came from. It is empty only
	// where Options.WithoutPasswords was set.
	Password      Secret
	PasswordEnv   string // the variable that Password was read from, if any
	PasswordFile  string // the file that Password was read from, if any
	UserType      string // MERCHANT (default) or SUB_MERCHANT
	UserTypeID    string // "": taken from the vendor's login answer
	MerchantID    string // "": no catalog
	ChannelID     string // "": each request names its own
	PurchaseLimit PurchaseLimit
	MaxInFlight   int // calls of the vendor at once in one process, at least 1; default 64
	Lookup        Lookup
	// OnInsufficientBalance says what becomes of a purchase that the vendor refuses
	// with 1103: FailBalance (default) or HoldBalance.
	OnInsufficientBalance string
}

// Values of Account.OnInsufficientBalance.
const (
	FailBalance = "fail" // it is FAILED, class balance
	HoldBalance = "hold" // it waits, and the account is paused
)

// Lookup says which purchases have their customer validated first, whether their
// request asks for it or not. Default: none.
type Lookup struct {
	Electricity   bool
	BillPayment   bool
	MoneyTransfer bool
}

// PurchaseLimit is how many purchases the vendor takes from an account,
// counted over all processes together.
type PurchaseLimit struct {
	Requests int           // default 10; 0: unlimited
	Per      time.Duration // default 1m
}

// RequireAccounts returns a *KeyError where no account is configured. Commands
// that talk to the vendor call it; Load does not ask for accounts.
func (c *Config) RequireAccounts() error {
	if len(c.Accounts) > 0 {
		return nil
	}
	return &KeyError{
		Key: "accounts",
		Problem: "no account is configured: add one to the file, or set " +
			envAccount + ", " + envUsername + " and " + envPassword,
	}
}
