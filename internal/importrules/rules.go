package main

// rule says what some packages must not import. Patterns are those of matches.
type rule struct {
	from   []string // the packages that it is for
	except []string // and those of them that it is not for
	never  []string // what they must not import
	but    []string // and what of it they may
	deep   bool     // neither by way of other packages
	tests  bool     // neither in tests
	why    string
}

const (
	natsServer = "github.com/nats-io/nats-server/..."
	natsClient = "github.com/nats-io/nats.go/..."
	jetStream  = "github.com/nats-io/nats.go/jetstream"
	miniredis  = "github.com/alicebob/miniredis/..."
	goRedis    = "github.com/redis/go-redis/..."
)

var rules = []rule{
	{
		from:  []string{"./cmd/vendstream"},
		never: []string{natsServer, miniredis, "./internal/simulator/...", "./internal/servertest/...", "./internal/lab/...", "./internal/failpoint/..."},
		deep:  true,
		why:   "what runs in production holds no embedded server, no simulated vendor and no ordered fault that could be used by mistake",
	},
	{
		from:  []string{"./internal/purchase"},
		never: []string{"other", "./..."},
		deep:  true,
		why:   "the domain decides and describes; it is read and tested without knowing any part around it",
	},
	{
		from:  []string{"./consumer"},
		never: []string{"./poller"},
		deep:  true, tests: true,
		why: "consumer and poller meet on the streams only, so that each runs, crashes and is scaled alone",
	},
	{
		from:  []string{"./poller"},
		never: []string{"./consumer"},
		deep:  true, tests: true,
		why: "consumer and poller meet on the streams only, so that each runs, crashes and is scaled alone",
	},
	{
		from:  []string{"./consumer", "./poller"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./publisher",       // subjects, headers and the dead letter's type
			"./internal/worker", // the pool that they are handlers of
			"./internal/gate",   // breaker and pause, which hold no connection
			"./internal/dedupe", // the types of claims and answers
			"./internal/quota",  // the type of permits
			"./internal/pause",  // the rules of pauses, which hold no connection
		},
		why: "the handlers decide and ask for effects by interfaces of their own; adapters are given to them by internal/app",
	},
	{
		from:  []string{"./consumer", "./poller", "./internal/gate", "./internal/worker"},
		never: []string{natsClient, goRedis, "net/http"},
		why:   "the handlers know no server: only the adapters acknowledge, publish and call",
	},
	{
		from:  []string{"./publisher"},
		never: []string{"./..."},
		but:   []string{"./internal/purchase"},
		deep:  true,
		why:   "upstream programs import it, and should link neither Redis nor HTTP with it",
	},
	{
		from:  []string{"./internal/vendor", "./internal/dedupe", "./internal/quota", "./internal/config"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./internal/combine", // calls in common round trips; it knows no server
		},
		why: "adapters know the domain and not each other",
	},
	{
		from:  []string{"./internal/tokens"},
		never: []string{"./..."},
		why:   "it keeps sealed records and must not be able to open them: sealing and what is in them are internal/vendor's, to which it is given by internal/app",
	},
	{
		from:  []string{"./internal/due"},
		never: []string{"./..."},
		but: []string{
			"./internal/worker", // it is a source of the pool
			"./internal/combine",
		},
		why: "it knows sequences and times, and nothing of purchases or streams",
	},
	{
		from:  []string{"./internal/catalog"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./internal/vendor", // the types of products and fields
		},
		why: "adapters know the domain and not each other; who fetches is given to it",
	},
	{
		from:  []string{"./internal/broker"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./publisher",       // the names of streams and subjects stand there once
			"./internal/worker", // the source of deliveries is an interface of the pool
			"./internal/pause",  // so is the store of pauses
			"./internal/due",    // and the stream of hand-offs
		},
		why: "adapters know the domain and not each other",
	},
	{
		from:  []string{"./internal/audit", "./internal/housekeeping"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./publisher",
			"./internal/broker", // what a reading of a stream is
			"./internal/worker", // the type of a delivery
			"./internal/audit",  // whose judgement housekeeping acts on
		},
		why: "they hold the streams against the contract, and must not share what the consumers decide",
	},
	{
		from:  []string{"./internal/gate"},
		never: []string{"./..."},
		but:   []string{"./internal/purchase", "./internal/worker", "./internal/pause"},
		why:   "it judges outcomes and waits, and knows no adapter",
	},
	{
		from:  []string{"./internal/pause"},
		never: []string{"./..."},
		but:   []string{"./internal/purchase"},
		deep:  true,
		why:   "it holds the rules of pauses; the bucket that keeps them is given to it",
	},
	{
		from:  []string{"./internal/telemetry", "./internal/lifecycle", "./internal/worker", "./internal/output"},
		never: []string{"./..."},
		deep:  true,
		why:   "they know nothing of purchases, so that no reference or number gets into a log or a label by way of them",
	},
	{
		from:  []string{"./internal/batch"},
		never: []string{"./..."},
		but: []string{
			"./internal/purchase",
			"./publisher", // the types of requests, acknowledgements and dead letters
		},
		why: "it decides what to submit and what is an end; connections are given to it by cmd/vendstream",
	},
	{
		from:  []string{"./internal/simulator"},
		never: []string{"./..."},
		deep:  true,
		why:   "it is the oracle of the tests: code shared with the program would share its mistakes",
	},
	{
		from:   []string{"./..."},
		except: []string{"./internal/simulator/...", "./internal/lab/...", "./cmd/vendlab/..."},
		never:  []string{"./internal/simulator/...", "./internal/lab/..."},
		why:    "the simulated vendor and what goes with it are for vendlab and for tests",
	},
	{
		from:   []string{"./..."},
		except: []string{"./internal/servertest/..."},
		never:  []string{"./internal/servertest/..."},
		why:    "it starts servers for tests and imports testing",
	},
	{
		from:  []string{"./..."},
		never: []string{"./internal/dedupe/dedupetest", "./internal/pause/pausetest"},
		why:   "they are stores in memory, for tests",
	},
	{
		from:   []string{"./..."},
		except: []string{"./cmd/...", "./internal/app", "./internal/lab/..."},
		never:  []string{"./internal/app", "./cmd/..."},
		why:    "only the programs know how all is put together",
	},
	{
		from:   []string{"./..."},
		except: []string{"./internal/failpoint/..."},
		never:  []string{"./internal/failpoint/..."},
		why:    "it is linked with the build tag failpoint only, by internal/app",
	},
	{
		from:  []string{"./internal/failpoint"},
		never: []string{"./..."},
		but: []string{
			"./consumer", "./poller", "./publisher", "./internal/worker", "./internal/vendor", // whose ports it wraps
			"./internal/gate", "./internal/pause", "./internal/broker", // likewise
			"./internal/purchase", "./internal/dedupe", "./internal/quota", // the types in them
		},
		why: "it stands between the parts and knows none of what they are wired to",
	},
	{
		from:   []string{"./..."},
		except: []string{"./publisher", "./internal/failpoint", "./internal/broker", "./internal/app", "./internal/servertest", "./internal/lab/...", "./cmd/..."},
		never:  []string{jetStream},
		why:    "what JetStream answers is told apart in one place for writing and in one for reading",
	},
	{
		from:   []string{"./..."},
		except: []string{"./internal/dedupe", "./internal/quota", "./internal/tokens", "./internal/due", "./internal/catalog", "./internal/app", "./internal/lab/...", "./cmd/..."},
		never:  []string{goRedis},
		why:    "keys and scripts live in the packages that own them",
	},
	{
		from:   []string{"./..."},
		except: []string{"./internal/servertest", "./internal/lab/..."},
		never:  []string{natsServer, miniredis},
		why:    "embedded servers are for internal/lab, which vendlab is made of, and for tests",
	},
}
