package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/vendstream/vendstream/internal/batch"
	"github.com/vendstream/vendstream/internal/output"
)

// say tells the user something, on standard error.
func (p *program) say(text string) { fmt.Fprintln(p.Stderr, "vendstream: "+output.Printable(text)) }

// planned warns of rows that will be refused.
func (p *program) planned(plan *batch.Plan) {
	for i := range plan.Accounts {
		a := &plan.Accounts[i]
		if a.Refused == 0 {
			continue
		}
		p.say(fmt.Sprintf("%d rows of account %s will be FAILED without a call:", a.Refused, a.Name))
		for _, r := range a.Refusals {
			p.say(fmt.Sprintf("line %d: %s", r.Line, r.Why))
		}
		if more := a.Refused - len(a.Refusals); more > 0 {
			p.say(fmt.Sprintf("and %d more", more))
		}
	}
}

// printPlan tells what --dry-run has found, on standard output where it was asked
// for and else on standard error.
func (p *program) printPlan(plan *batch.Plan, format output.Format, asked bool) error {
	type row struct {
		Account string `json:"account"`
		Rows    int    `json:"rows"`
		Sum     string `json:"sum"`
		Refused int    `json:"refused"`
	}
	out := p.table(format, asked, "account", "rows", "sum", "refused")
	for i := range plan.Accounts {
		a := &plan.Accounts[i]
		if err := out.Record(row{a.Name, a.Rows, a.Sum.String(), a.Refused},
			[]string{a.Name, strconv.Itoa(a.Rows), a.Sum.String(), strconv.Itoa(a.Refused)}); err != nil {
			return err
		}
	}
	return out.Close()
}

func (p *program) printSummary(lines []batch.Line, format output.Format, asked bool) error {
	for _, asked := range map[bool][]bool{false: {false}, true: {false, true}}[asked] {
		out := p.table(format, asked, "account", "status", "rows", "sum")
		for _, l := range lines {
			if err := out.Record(l, []string{l.Account, string(l.Status), strconv.Itoa(l.Rows), l.Sum}); err != nil {
				return err
			}
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}

// table writes to standard output in the format that was asked for, or as a table
// to standard error.
func (p *program) table(format output.Format, asked bool, columns ...string) *output.Writer {
	if asked {
		return output.NewWriter(p.Stdout, format, columns...)
	}
	return output.NewWriter(p.Stderr, output.Table, columns...)
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
)

// showProgress shows how far a batch has come until stop is called: as a bar on a
// terminal, else as a line every few seconds while there is news.
func (p *program) showProgress(tracker *batch.Tracker, wait bool) (stop func()) {
	show, every, end := progressLines(p.Stderr), lineEvery, func() {}
	if terminal(p.Stderr) {
		every = barEvery
		show, end = progressBar(p.Stderr, tracker.Progress().Total, wait)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show(tracker.Progress())
			case <-done:
				end()
				return
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

func progressLines(stderr io.Writer) func(batch.Progress) {
	var last batch.Progress
	return func(now batch.Progress) {
		if now != last {
			fmt.Fprintln(stderr, "vendstream: "+progressText(now))
		}
		last = now
	}
}

func progressText(now batch.Progress) string {
	return fmt.Sprintf("%d of %d submitted, %d completed, %d failed, %d dead, %d open",
		now.Submitted, now.Total, now.Completed, now.Failed, now.Dead, now.Open())
}

func progressBar(stderr io.Writer, total int, wait bool) (show func(batch.Progress), end func()) {
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)
	// A terminal that does not take it is not worth an error.
	return func(now batch.Progress) {
		done := now.Submitted
		if wait {
			done = now.Ended()
		}
		bar.Describe(fmt.Sprintf("%d submitted, %d failed, %d dead", now.Submitted, now.Failed, now.Dead))
		if done < total {
			_ = bar.Set(done)
		}
	}, func() { _ = bar.Clear() }
}

func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
