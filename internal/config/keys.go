package config

import "time"

// fields are the keys that hold one value: those of the contract in its order, and
// then others.
var fields = []field[Config]{
	{
		key: "nats.url", def: "nats://127.0.0.1:4222",
		help:  "NATS servers, separated by commas; put a password into the variable or the file",
		at:    func(c *Config) any { return &c.NATS.URL },
		check: func(c *Config) string { return checkNATS(c.NATS.URL.text) },
	},
	{
		key:  "nats.credentials_file",
		help: "NATS credentials file",
		at:   func(c *Config) any { return &c.NATS.CredentialsFile },
	},
	{
		key: "nats.replicas", def: "1",
		help: "copies of each stream that provision makes: 1, 3 or 5",
		at:   func(c *Config) any { return &c.NATS.Replicas },
		check: func(c *Config) string {
			if n := c.NATS.Replicas; n != 1 && n != 3 && n != 5 {
				return "must be 1, 3 or 5"
			}
			return ""
		},
	},
	{
		key: "redis.url", def: "redis://127.0.0.1:6379/0",
		help:  "Redis server; put a password into the variable or the file",
		at:    func(c *Config) any { return &c.Redis.URL },
		check: func(c *Config) string { return checkRedis(c.Redis.URL.text) },
	},
	{
		key: "http.addr", def: "127.0.0.1:8080",
		help:  `where /healthz, /readyz and /metrics are served; "" serves none`,
		at:    func(c *Config) any { return &c.HTTP.Addr },
		check: func(c *Config) string { return checkAddr(c.HTTP.Addr) },
	},
	{
		key: "log.level", def: "info",
		help:  "trace, debug, info, warn or error",
		at:    func(c *Config) any { return &c.Log.Level },
		check: oneOf(func(c *Config) string { return c.Log.Level }, "trace", "debug", "info", "warn", "error"),
	},
	{
		key: "log.format", def: "json",
		help:  "json or console",
		at:    func(c *Config) any { return &c.Log.Format },
		check: oneOf(func(c *Config) string { return c.Log.Format }, "json", "console"),
	},
	{
		key: "subjects.prefix", def: "purchases",
		help:  "what subjects begin with; stream names follow it in upper case, dots made underscores",
		at:    func(c *Config) any { return &c.Subjects.Prefix },
		check: func(c *Config) string { return checkPrefix(c.Subjects.Prefix) },
	},
	{
		key: "dedupe.lease", def: "60s",
		help:  "how long a claim holds without being renewed",
		at:    func(c *Config) any { return &c.Dedupe.Lease },
		check: positive(func(c *Config) *time.Duration { return &c.Dedupe.Lease }),
	},
	{
		key: "dedupe.ttl", def: "168h",
		help:  "how long a settled claim is remembered in Redis",
		at:    func(c *Config) any { return &c.Dedupe.TTL },
		check: positive(func(c *Config) *time.Duration { return &c.Dedupe.TTL }),
	},
	{
		key: "dedupe.digest_key",
		at:  func(c *Config) any { return &c.Dedupe.DigestKey },
	},
	{
		key: "retention.requests", def: "720h",
		help:  "how long settled requests stay in their stream",
		at:    func(c *Config) any { return &c.Retention.Requests },
		check: positive(func(c *Config) *time.Duration { return &c.Retention.Requests }),
	},
	{
		key: "retention.results", def: "2160h",
		help:  "how long results stay in their stream",
		at:    func(c *Config) any { return &c.Retention.Results },
		check: positive(func(c *Config) *time.Duration { return &c.Retention.Results }),
	},
	{
		key: "retry.base", def: "1s",
		help:  "first wait before a call to the vendor is tried again",
		at:    func(c *Config) any { return &c.Retry.Base },
		check: positive(func(c *Config) *time.Duration { return &c.Retry.Base }),
	},
	{
		key: "retry.max", def: "60s",
		help:  "longest wait before a call to the vendor is tried again",
		at:    func(c *Config) any { return &c.Retry.Max },
		check: positive(func(c *Config) *time.Duration { return &c.Retry.Max }),
	},
	{
		key: "retry.jitter", def: "0.25",
		help: "part of a wait that is random, 0 to 1",
		at:   func(c *Config) any { return &c.Retry.Jitter },
		check: func(c *Config) string {
			if j := c.Retry.Jitter; j >= 0 && j <= 1 { // false for NaN
				return ""
			}
			return "must be between 0 and 1"
		},
	},
	{
		key: "retry.attempts", def: "5",
		help: "calls to the vendor in all before the outcome is left to the poller",
		at:   func(c *Config) any { return &c.Retry.Attempts },
		check: func(c *Config) string {
			if c.Retry.Attempts < 1 {
				return "must be at least 1"
			}
			return ""
		},
	},
	{
		key: "poller.escalate_after", def: "5m",
		help: "how long a purchase may stay open before it is escalated",
		at:   func(c *Config) any { return &c.Poller.EscalateAfter },
		check: func(c *Config) string {
			if c.Poller.EscalateAfter < 0 {
				return "must not be below zero"
			}
			return ""
		},
	},
	{
		key: "poller.due_index", def: "false",
		help: "keep in Redis when open purchases are due, for accounts with hundreds of thousands of them",
		at:   func(c *Config) any { return &c.Poller.DueIndex },
	},
	{
		key: "vendor.timeout", def: "30s",
		help:  "longest time that one call to the vendor may take",
		at:    func(c *Config) any { return &c.Vendor.Timeout },
		check: positive(func(c *Config) *time.Duration { return &c.Vendor.Timeout }),
	},
	{
		key: "catalog.refresh", def: "15m",
		help:  "time between fetches of the catalog, for accounts with a merchant_id",
		at:    func(c *Config) any { return &c.Catalog.Refresh },
		check: positive(func(c *Config) *time.Duration { return &c.Catalog.Refresh }),
	},
	{
		key: "audit.every", def: "5m",
		help: "time between audits of recent requests beside the consumers; 0 is never",
		at:   func(c *Config) any { return &c.Audit.Every },
		check: func(c *Config) string {
			if c.Audit.Every < 0 {
				return "must not be below zero"
			}
			return ""
		},
	},
}

// The keys that hold lists.
const (
	keySchedule = "poller.schedule"
	keyAccounts = "accounts"
)

// defaultSchedule is the default of poller.schedule, as in the contract.
var defaultSchedule = []any{
	map[string]any{"until": "1m", "every": "5s"},
	map[string]any{"until": "5m", "every": "30s"},
	map[string]any{"every": "5m"},
}

var stepFields = []field[Step]{
	{
		key:   "until",
		at:    func(s *Step) any { return &s.Until },
		check: positive(func(s *Step) *time.Duration { return &s.Until }),
	},
	{
		key:   "every",
		at:    func(s *Step) any { return &s.Every },
		check: positive(func(s *Step) *time.Duration { return &s.Every }),
	},
}
