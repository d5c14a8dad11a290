package dedupe

import (
	"fmt"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

// verdicts are the verdicts by the names that claimScript gives them.
var verdicts = func() map[string]purchase.Verdict {
	byName := make(map[string]purchase.Verdict)
	for v := purchase.ClaimNew; v <= purchase.ClaimConflict; v++ {
		byName[v.String()] = v
	}
	return byName
}()

func claimArgs(c Claim, lease time.Duration, from purchase.ClaimState) []any {
	return []any{c.Owner, fingerprint(c.Digest), milliseconds(lease), string(from), flag(c.Sends)}
}

// milliseconds is d as the scripts count it, and at least 1.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// readAnswer reads what claimScript returns to a claim.
func readAnswer(raw any, of Claim) (Answer, error) {
	parts, ok := raw.([]any)
	if !ok || len(parts) != 7 {
		return Answer{}, errAnswer
	}
	name, ok1 := parts[0].(string)
	state, ok2 := parts[1].(string)
	wait, ok3 := parts[2].(int64)
	attempts, ok4 := parts[3].(int64)
	sent, ok5 := parts[4].(int64)
	txid, ok6 := parts[5].(string)
	digest, ok7 := parts[6].(string)
	verdict := verdicts[name]
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || verdict == 0 {
		return Answer{}, errAnswer
	}
	record := of.Digest
	if digest != "" {
		record = digestOf(digest)
	}
	return Answer{
		Verdict:       verdict,
		Wait:          time.Duration(wait) * time.Millisecond,
		Attempts:      int(attempts),
		Sent:          sent != 0,
		TransactionID: txid,
		State:         purchase.ClaimState(state),
		Digest:        record,
	}, nil
}

// readHold reads what holdScript returns.
func readHold(raw any) (Hold, error) {
	parts, ok := raw.([]any)
	if !ok || len(parts) != 2 {
		return Hold{}, errAnswer
	}
	ours, err := yes(parts[0])
	txid, ok := parts[1].(string)
	if err != nil || !ok {
		return Hold{}, errAnswer
	}
	return Hold{Ours: ours, TransactionID: txid}, nil
}

func readState(what string, raw any) (purchase.ClaimState, error) {
	state, ok := raw.(string)
	if !ok {
		return "", fmt.Errorf("dedupe: %s: %w", what, errAnswer)
	}
	return purchase.ClaimState(state), nil
}
