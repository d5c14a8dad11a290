package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/audit"
	"github.com/vendstream/vendstream/internal/output"
)

// auditStates are the columns of the numbers.
var auditStates = []audit.State{
	audit.Settled, audit.Dead, audit.Pending, audit.Waiting, audit.Expired, audit.Repaired,
	audit.Unaccounted, audit.Conflict, audit.Doubled, audit.Misburied, audit.Lingering, audit.Orphan,
	audit.Unverifiable, audit.Unreadable,
}

// auditAccount is the numbers of one account.
type auditAccount struct {
	Record   string                 `json:"record,omitempty"`
	Account  string                 `json:"account"`
	Requests uint64                 `json:"requests"`
	Counts   map[audit.State]uint64 `json:"counts"`
}

type auditFinding struct {
	Record string `json:"record"`
	audit.Finding
}

// auditReport is the whole, for JSON.
type auditReport struct {
	Since     time.Time       `json:"since"`
	Until     time.Time       `json:"until"`
	Accounted bool            `json:"accounted"`
	Accounts  []auditAccount  `json:"accounts"`
	Findings  []audit.Finding `json:"findings"`
	Open      []audit.Finding `json:"open,omitempty"`
	Left      uint64          `json:"notListed,omitempty"`
}

var findingColumns = []string{"account", "sequence", "finding", "merchantReference", "requestedAt", "detail", "repair"}

func findingCells(f audit.Finding) []string {
	sequence, at := "", ""
	if f.Sequence > 0 {
		sequence = strconv.FormatUint(f.Sequence, 10)
	}
	if !f.Time.IsZero() {
		at = f.Time.Format(time.RFC3339Nano)
	}
	return []string{f.Account, sequence, string(f.State), f.Reference, at, f.Detail, f.Repair}
}

func auditAccounts(r *audit.Report) []auditAccount {
	accounts := []auditAccount{}
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		accounts = append(accounts, auditAccount{Account: name, Requests: r.Requests(name), Counts: r.Counts[name]})
	}
	return accounts
}

// auditSummary writes a line for each account to standard error.
func (p *program) auditSummary(r *audit.Report) {
	accounts := auditAccounts(r)
	for _, a := range accounts {
		parts := []string{}
		for _, state := range auditStates {
			if n := a.Counts[state]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, state))
			}
		}
		fmt.Fprintf(p.Stderr, "%s: %d requests: %s\n", output.Printable(a.Account), a.Requests, strings.Join(parts, ", "))
	}
	if len(accounts) == 0 {
		fmt.Fprintf(p.Stderr, "no requests from %s to %s\n", r.Since.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
	}
	if r.Left > 0 {
		fmt.Fprintf(p.Stderr, "%d more are counted and not listed\n", r.Left)
	}
}

func printAudit(w io.Writer, format output.Format, r *audit.Report) error {
	accounts := auditAccounts(r)
	switch format {
	case output.JSON:
		findings := r.Findings
		if findings == nil {
			findings = []audit.Finding{}
		}
		return output.One(w, format, nil, auditReport{
			Since: r.Since.UTC(), Until: r.Until.UTC(), Accounted: r.Accounted(),
			Accounts: accounts, Findings: findings, Open: r.Open, Left: r.Left,
		}, nil)
	case output.JSONL:
		out := output.NewWriter(w, format)
		for _, a := range accounts {
			a.Record = "account"
			if err := out.Record(a); err != nil {
				return err
			}
		}
		return printFindings(w, format, r)
	case output.CSV:
		return printFindings(w, format, r)
	default:
		if err := printNumbers(w, accounts); err != nil || len(r.Findings)+len(r.Open) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return printFindings(w, format, r)
	}
}

// printNumbers prints the numbers as a table, of findings only those there are.
func printNumbers(w io.Writer, accounts []auditAccount) error {
	columns, states := []string{"account", "requests"}, []audit.State{}
	for _, state := range auditStates {
		there := slices.ContainsFunc(accounts, func(a auditAccount) bool { return a.Counts[state] > 0 })
		if there || state.Accounted() || state == audit.Unaccounted {
			columns, states = append(columns, string(state)), append(states, state)
		}
	}
	out := output.NewWriter(w, output.Table, columns...)
	for _, a := range accounts {
		cells := []string{a.Account, strconv.FormatUint(a.Requests, 10)}
		for _, state := range states {
			cells = append(cells, strconv.FormatUint(a.Counts[state], 10))
		}
		if err := out.Record(a, cells); err != nil {
			return err
		}
	}
	return out.Close()
}

// printFindings prints the findings, and the open ones where they were asked for.
func printFindings(w io.Writer, format output.Format, r *audit.Report) error {
	out := output.NewWriter(w, format, findingColumns...)
	for _, list := range []struct {
		record   string
		findings []audit.Finding
	}{{"finding", r.Findings}, {"open", r.Open}} {
		for _, f := range list.findings {
			if err := out.Record(auditFinding{list.record, f}, findingCells(f)); err != nil {
				return err
			}
		}
	}
	return out.Close()
}
