package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// UnknownAccount is the account label of what has no configured account, so that
// a sender cannot make up series.
const UnknownAccount = "unknown"

// NewRegistry is a registry with what Go, the process and the build say.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return reg
}

// Metrics are those of the pipeline. No label ever holds a merchantReference, a
// phone number or anything else that a sender chooses.
type Metrics struct {
	// What went through.
	Requests     *prometheus.CounterVec   // account, verdict
	Results      *prometheus.CounterVec   // account, status, class, source
	DeadLetters  *prometheus.CounterVec   // account, reason
	Duplicates   *prometheus.CounterVec   // account
	Conflicts    *prometheus.CounterVec   // account
	Redelivered  *prometheus.CounterVec   // account
	PurchaseTime *prometheus.HistogramVec // account, status

	// The vendor.
	VendorCalls    *prometheus.CounterVec   // account, endpoint, kind
	VendorCallTime *prometheus.HistogramVec // account, endpoint
	Polls          *prometheus.CounterVec   // account, kind
	BreakerState   *prometheus.GaugeVec     // account, component; see BreakerClosed
	Paused         *prometheus.GaugeVec     // account, reason
	Balance        *prometheus.GaugeVec     // account

	// What is open.
	InFlight         *prometheus.GaugeVec // account
	Backlog          *prometheus.GaugeVec // account
	Pending          *prometheus.GaugeVec // account
	PendingOldestAge *prometheus.GaugeVec // account
	Escalated        *prometheus.GaugeVec // account

	// What the audit and housekeeping say.
	AuditOldestOpen     *prometheus.GaugeVec   // account
	AuditUnaccounted    *prometheus.GaugeVec   // account
	RequestsPurged      *prometheus.CounterVec // account
	HousekeepingBlocked *prometheus.GaugeVec   // account

	// What should not happen.
	EscalatedTotal *prometheus.CounterVec // account
	Contradictions *prometheus.CounterVec // account
	PublishErrors  *prometheus.CounterVec // stream
	Panics         *prometheus.CounterVec // component
}

// Values of BreakerState.
const (
	BreakerClosed   = 0
	BreakerHalfOpen = 1
	BreakerOpen     = 2
)

// NewMetrics registers the pipeline's metrics. It panics where they are
// registered already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vendstream", Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "vendstream", Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "vendstream", Name: name, Help: help, Buckets: buckets}, labels)
		reg.MustRegister(v)
		return v
	}
	return &Metrics{
		Requests: counter("requests_total",
			"Requests handled, by what was decided; a request delivered twice counts twice.", "account", "verdict"),
		Results: counter("results_total",
			"Results published, by status, by class of failure (empty for COMPLETED) and by what settled them.", "account", "status", "class", "source"),
		DeadLetters: counter("dead_letters_total",
			"Messages that can have no result, by reason.", "account", "reason"),
		Duplicates: counter("duplicates_total",
			"Requests that repeat one with a result or on its way to one.", "account"),
		Conflicts: counter("conflicts_total",
			"Requests that bear the reference of another payload.", "account"),
		Redelivered: counter("redelivered_total",
			"Messages that JetStream delivered more than once.", "account"),
		// From an answer at once to an hour of polling.
		PurchaseTime: histogram("purchase_duration_seconds",
			"Seconds from the publishing of a request to its result.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600}, "account", "status"),

		VendorCalls: counter("vendor_calls_total",
			"Calls to the vendor, by endpoint and kind of answer.", "account", "endpoint", "kind"),
		// Up to twice the default of vendor.timeout.
		VendorCallTime: histogram("vendor_call_duration_seconds",
			"Seconds that calls to the vendor took.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60}, "account", "endpoint"),
		Polls: counter("polls_total",
			"Look-ups of open purchases, by kind of answer.", "account", "kind"),
		BreakerState: gauge("breaker_state",
			"State of a circuit breaker: 0 closed, 1 half open, 2 open.", "account", "component"),
		Paused: gauge("paused",
			"1 while an account takes no work for this reason, else 0.", "account", "reason"),

		Balance: gauge("available_balance",
			"Available balance that the last insufficient-balance answer (1103) stated, in ZAR; no series before one did.", "account"),

		InFlight: gauge("in_flight",
			"Requests being handled now by this process.", "account"),
		Backlog: gauge("backlog",
			"Requests in the stream that are not settled yet.", "account"),
		Pending: gauge("pending",
			"Purchases submitted and still open at the vendor.", "account"),
		PendingOldestAge: gauge("pending_oldest_age_seconds",
			"Seconds since the oldest open purchase was submitted; 0 with none open.", "account"),
		Escalated: gauge("escalated",
			"Open purchases older than poller.escalate_after.", "account"),

		AuditOldestOpen: gauge("audit_oldest_open_seconds",
			"Seconds since the oldest request without an end was published, at the last audit; 0 with none.", "account"),
		AuditUnaccounted: gauge("audit_unaccounted",
			"Acknowledged requests without an end, among those that this process has audited. Each is an incident.", "account"),
		RequestsPurged: counter("requests_purged_total",
			"Settled requests that were purged after retention.requests.", "account"),
		HousekeepingBlocked: gauge("housekeeping_blocked",
			"1 while a request older than retention.requests cannot be purged, since it is not settled; else 0.", "account"),

		EscalatedTotal: counter("escalated_total",
			"Purchases that were open longer than poller.escalate_after, each counted once.", "account"),
		Contradictions: counter("contradictions_total",
			"Results that contradict one already stored, which was kept. Each wants looking into.", "account"),
		PublishErrors: counter("publish_errors_total",
			"Messages that a stream did not acknowledge; they are tried again.", "stream"),
		Panics: counter("panics_total",
			"Panics recovered from. Each is a fault in this program.", "component"),
	}
}

// AddAccount makes the series that an account has whatever happens, at zero. A
// series that appeared with its first event would hide that event from increase()
// and rate(), and so from alerts.
func (m *Metrics) AddAccount(account string) {
	for _, counter := range []*prometheus.CounterVec{m.Duplicates, m.Conflicts, m.Redelivered, m.EscalatedTotal, m.Contradictions, m.RequestsPurged} {
		counter.WithLabelValues(account)
	}
	for _, gauge := range []*prometheus.GaugeVec{m.InFlight, m.Backlog, m.Pending, m.PendingOldestAge, m.Escalated} {
		gauge.WithLabelValues(account)
	}
}
