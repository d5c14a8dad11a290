package runs

import (
	"context"
	"strings"
	"time"

	"github.com/vendstream/vendstream/internal/broker"
	"github.com/vendstream/vendstream/internal/pause"
	"github.com/vendstream/vendstream/internal/simulator"
	"github.com/vendstream/vendstream/publisher"
)

// Accounts beside the one that everything else is asked of: each is paused in
// every history, for another cause, and resumed again.
const (
	broke    = "broke"    // meets insufficient balance, and holds its purchases
	locked   = "locked"   // its credentials are refused for a while
	operated = "operated" // an operator paused it before the first process starts
)

// accounts are all that the program serves.
var accounts = []string{account, broke, locked, operated}

// accountOf is the account that a history asks for a reference of.
func (h *history) accountOf(reference string) string {
	for _, name := range accounts[1:] {
		if strings.HasPrefix(reference, h.ref(name)) {
			return name
		}
	}
	return account
}

// board is the operator's view of the pauses.
func (h *history) board() *pause.Board {
	return pause.NewBoard(broker.NewPauses(h.rig.js, h.subjects.AccountsBucket()), func(error) {})
}

// beforePauses is what there is of the paused accounts before the first process.
func (h *history) beforePauses(ctx context.Context) error {
	noBalance := simulator.Step{Code: "1103", Stored: simulator.StoredNone}
	reset := simulator.Step{Answer: simulator.AnswerReset}
	refused := simulator.Step{Status: 401}
	steps := func(name string, steps ...simulator.Step) simulator.Fault {
		return simulator.Fault{Match: simulator.Match{Reference: h.ref(name)}, Steps: steps}
	}
	err := h.vendor.Order(
		// Met by the consumer, and by the poller that posts an unknown outcome again.
		steps(broke+"-1", noBalance),
		steps(broke+"-2", reset, reset, noBalance),
		// Every call is tried with the token, with another, and with one of a login.
		simulator.Fault{Match: simulator.Match{Account: locked}, Steps: []simulator.Step{refused}, Times: 6},
	)
	if err != nil {
		return err
	}
	if err := h.board().Pause(ctx, operated, "operator", "before the first process starts"); err != nil {
		return err
	}
	for _, name := range []string{broke + "-2", broke + "-1", locked + "-1", operated + "-1"} {
		if _, err := h.publish(ctx, h.accountOf(h.ref(name)), h.electricity(name, "50")); err != nil {
			return err
		}
	}
	return nil
}

// lowPriority asks for what is to go behind the others.
func (h *history) lowPriority(ctx context.Context) error {
	for _, name := range []string{"low-1", "low-2"} {
		if _, err := h.publish(ctx, account, h.electricity(name, "50"), publisher.HeaderPriority, publisher.PriorityLow); err != nil {
			return err
		}
	}
	return nil
}

// resume ends the operator's pause. From now on the account may be called.
func (h *history) resume(ctx context.Context) error {
	h.mu.Lock()
	h.resumed = true
	h.mu.Unlock()
	for {
		_, err := h.board().Resume(ctx, operated, "operator", "")
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
