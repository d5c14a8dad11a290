package vendor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vendstream/vendstream/internal/purchase"
)

func TestRecordCarriesHolds(t *testing.T) {
	now := time.Now()
	for _, kind := range []purchase.OutcomeKind{purchase.Unauthorized, purchase.Limited, purchase.Unreachable} {
		var h hold
		for range 3 {
			h.extend(now, loginSpacing, &tokenError{kind, errNoToken})
		}
		// Told 4 s after the failure, read 3 s after that.
		var got hold
		got.learn(h.tell(now.Add(4*time.Second)), now.Add(4*time.Second))
		if got.failures != 3 || got.kind != kind || !got.until.Equal(h.until) {
			t.Errorf("%s: %+v, want %+v", kind, got, h)
		}
		if err := got.inForce(now.Add(7 * time.Second)); err == nil || err.kind != kind || !strings.Contains(err.Error(), errNoToken.Error()) {
			t.Errorf("%s: held with %v", kind, err)
		}
	}
	if none := (&hold{}).tell(now); none != nil {
		t.Errorf("no hold is told as %+v", none)
	}
	var h hold
	h.learn(&heldRecord{Failures: 1, Kind: "limited", EndsIn: 24 * time.Hour}, now)
	if h.until.Sub(now) > 2*longestHold {
		t.Errorf("a hold of a day is believed: %s", h.until.Sub(now))
	}
	if h.learn(nil, now); h != (hold{}) {
		t.Errorf("a hold outlives the others' success: %+v", h)
	}
}

// What one process's network does is not held against the others.
func TestHoldWithoutAnAnswerIsOnesOwn(t *testing.T) {
	now := time.Now()
	for _, err := range []error{errNotConnected, errNoAnswer} {
		var h hold
		h.extend(now, loginSpacing, &tokenError{purchase.Unreachable, fmt.Errorf("token: %w", err)})
		if told := h.tell(now); told != nil {
			t.Errorf("%v is told as %+v", err, told)
		}
		if h.learn(nil, now); h.inForce(now) == nil {
			t.Errorf("%v: the hold is lost", err)
		}
	}
}

func TestRecordIsRememberedForAsLongAsItIsOfUse(t *testing.T) {
	held := &heldRecord{EndsIn: time.Minute}
	for name, c := range map[string]struct {
		r    record
		want time.Duration
	}{
		"token":           {record{EndsIn: 30 * time.Minute}, 30 * time.Minute},
		"token and hold":  {record{EndsIn: 30 * time.Minute, Login: held}, 30 * time.Minute},
		"hold":            {record{Login: held}, 11 * time.Minute},
		"hold of refresh": {record{EndsIn: time.Minute, Refresh: held}, 11 * time.Minute},
		"nothing":         {record{}, time.Second},
	} {
		if got := c.r.ttl(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRecordThatIsNone(t *testing.T) {
	for _, plain := range []string{"", "x-secret", `{"token":3}`, `{"token":"a\nsecret"}`} {
		r, err := unmarshalRecord([]byte(plain))
		if err == nil || r != (record{}) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", plain, r, err)
		}
	}
}
