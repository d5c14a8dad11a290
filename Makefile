# Works with GNU make 3.81, which a Mac has, and later.

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# What has to be covered by tests, and by how much, each package on its own.
CORE := ./internal/purchase ./internal/vendor ./internal/dedupe ./consumer ./poller ./publisher
COVERAGE := 85

# Tests start real servers, which Go's cache of test results knows nothing of.
# They wait more than they work, so three packages are tested at once.
TEST := $(GO) test -count=1 -timeout=14m -p 3
FUZZTIME ?= 10s
SEEDS ?= 10000
FIRST ?= 1
CORES := $(shell getconf _NPROCESSORS_ONLN)

# Flags of `vendlab bench`, and of the measurement that is asked for.
BENCH ?=
# How often each action is tried at each failpoint.
RUNS ?= 20
# Of chaos. SEED=0 chooses one and prints it.
PURCHASES ?= 5000
FAULTS ?= 60
EVERY ?= 3500ms
SEED ?= 0

empty :=
comma := ,
space := $(empty) $(empty)

.PHONY: all
all: check test build

.PHONY: help
help:
	@echo 'make check       format, vet, staticcheck, import rules'
	@echo 'make test        all tests, on real servers, under the race detector'
	@echo 'make cover       the same, and whether the core packages are covered enough'
	@echo 'make build       both programs, in bin/'
	@echo 'make demo        the main job in one process'
	@echo 'make simulate    SEEDS ($(SEEDS)) histories from seed FIRST ($(FIRST)) on, on all cores'
	@echo 'make mutants     the program with one mistake at a time, and which tests find it'
	@echo 'make chaos       the built programs under PURCHASES ($(PURCHASES)) and FAULTS ($(FAULTS)), some 5 minutes'
	@echo 'make chaos-long  the same with 100000 purchases and 500 faults, an hour or less'
	@echo 'make fuzz        every fuzz test for FUZZTIME ($(FUZZTIME))'
	@echo 'make bench       what a purchase costs, beside a bare loop without the pipeline'
	@echo 'make failpoints  every fault at every effect, RUNS ($(RUNS)) times each, and a table'
	@echo 'make isolation   how one account fares while another makes trouble'
	@echo 'make bench-ledger, bench-poller, bench-processes, bench-accounts, bench-claims: see docs/capacity.md'
	@echo 'make bench-others  vendstream beside consumers of Watermill, asynq and others; fetches modules'
	@echo 'make bench-http    net/http beside fasthttp, with TLS; fetches modules'
	@echo 'make bench-once  one iteration of every benchmark'

.PHONY: check
check:
	@unformatted=$$(gofmt -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags failpoint ./internal/app
	$(GO) run $(STATICCHECK) ./...
	$(GO) run ./internal/importrules
	@GO='$(GO)' sh .ci/others $(STATICCHECK)

.PHONY: test
test: tools
	$(TEST) -race -coverpkg=$(subst $(space),$(comma),$(CORE)) -coverprofile=cover.out ./...

.PHONY: cover
cover: test coverage

# Of the last run of the tests.
.PHONY: coverage
coverage:
	@awk -v least=$(COVERAGE) -f .ci/coverage.awk cover.out

.PHONY: tools
tools:
	@sh .ci/tools

.PHONY: build
build:
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: demo
demo:
	$(GO) run ./cmd/vendlab demo

# The figures as JSON are in chaos.json; logs and streams are kept where a promise is broken.
.PHONY: chaos
chaos: tools build
	bin/vendlab chaos --vendstream bin/vendstream --purchases $(PURCHASES) --faults $(FAULTS) --every $(EVERY) --seed $(SEED) --output json >chaos.json

.PHONY: chaos-long
chaos-long:
	$(MAKE) chaos PURCHASES=100000 FAULTS=500 EVERY=3s

.PHONY: fuzz
fuzz:
	@set -e; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		for name in $$($(GO) test -list '^Fuzz' $$dir | grep '^Fuzz'); do \
			echo "$$dir $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

.PHONY: bench
bench: tools
	$(GO) run ./cmd/vendlab bench $(BENCH)

.PHONY: bench-ledger
bench-ledger: tools
	$(GO) run ./cmd/vendlab bench ledger $(BENCH)

.PHONY: bench-poller
bench-poller: tools
	$(GO) run ./cmd/vendlab bench poller $(BENCH)

.PHONY: bench-processes
bench-processes: tools
	$(GO) run ./cmd/vendlab bench processes $(BENCH)

.PHONY: bench-accounts
bench-accounts: tools
	$(GO) run ./cmd/vendlab bench accounts $(BENCH)

.PHONY: bench-claims
bench-claims: tools
	$(GO) run ./cmd/vendlab bench claims $(BENCH)

.PHONY: bench-others
bench-others: tools
	$(GO) run ./cmd/vendlab bench others $(BENCH)

.PHONY: bench-http
bench-http:
	$(GO) run ./cmd/vendlab bench http $(BENCH)

# Each process runs one history at a time: a seed then goes the same way every time.
.PHONY: simulate
simulate:
	@mkdir -p bin
	$(GO) test -c -o bin/simulation.test ./internal/simulation
	cd internal/simulation && ../../bin/simulation.test -test.v -test.run '^TestHistoryIsReplayed$$'
	cd internal/simulation && seq 0 $$(($(CORES) - 1)) | GOGC=400 xargs -P $(CORES) -I '{}' sh -c \
		'../../bin/simulation.test -test.v -test.timeout=0 -test.run "^TestHistories$$" -histories $$((($(SEEDS) + $(CORES) - 1) / $(CORES))) -first $$(($(FIRST) + {})) -stride $(CORES)'

.PHONY: mutants
mutants: tools
	@$(GO) run ./internal/mutants

.PHONY: bench-once
bench-once: tools
	$(GO) test -run '^$$' -bench . -benchtime 1x -short \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

# 20 deaths at each point take some twenty minutes, everything more than an hour. Eight runs at a
# time for each processor. FAILPOINT_ACTIONS, FAILPOINT_POINTS and FAILPOINT_TIME choose
# less. The table goes to standard output, the rest to standard error.
.PHONY: failpoints
failpoints: tools
	@table=$$(mktemp) || exit 1; \
	FAILPOINT_RUNS=$(RUNS) FAILPOINT_TABLE=$$table \
		$(GO) test -count=1 -timeout=0 -v -run '^TestRuns$$' ./internal/failpoint/runs >&2; status=$$?; \
	cat $$table; rm -f $$table; exit $$status

# Some seven minutes; nothing else should run meanwhile.
.PHONY: isolation
isolation: tools
	$(GO) test -run '^$$' -bench Isolation -benchtime 5x -timeout 30m ./cmd/vendstream

.PHONY: clean
clean:
	rm -rf bin cover.out chaos.json
