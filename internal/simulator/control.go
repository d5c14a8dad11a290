package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// controlPrefix is where the simulator's owner talks to it, beside the base path
// and outside of what the vendor has. It asks for no token and belongs on
// loopback only.
const controlPrefix = "/_simulator/"

func isControl(path string) bool { return strings.HasPrefix(path, controlPrefix) }

func (s *Simulator) serveControl(w http.ResponseWriter, r *http.Request) { s.control(r).send(w) }

// control serves:
//
//	GET    ledger                      every entry of every account
//	GET    ledger/{account}            of one account; ?reference= for one entry
//	GET    stats
//	GET    faults                      those that are ordered
//	POST   faults                      orders one, or several in an array
//	DELETE faults                      removes all
//	POST   reset                       as Reset
//	POST   revoke?account=&refresh=    as Revoke
//	POST   end?account=&reference=&status=&code=   as End
//	POST   advance?by=30s              with a manual clock only
func (s *Simulator) control(r *http.Request) reply {
	path, account, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, controlPrefix), "/")
	if path == "redirected" {
		// Where the fault redirect points to: a client must not come here.
		s.counters.redirected.Add(1)
		return jsonReply(http.StatusOK, []byte(`{"redirected":true}`))
	}
	params := r.URL.Query()
	switch r.Method + " " + path {
	case "GET ledger":
		return s.showLedger(account, params)
	case "GET stats":
		return controlAnswer(http.StatusOK, s.Stats())
	case "GET faults":
		return controlAnswer(http.StatusOK, s.Faults())
	case "POST faults":
		return s.orderFrom(r.Body)
	case "DELETE faults":
		s.ClearFaults()
		return controlDone()
	case "POST reset":
		if err := s.Reset(); err != nil {
			return controlError(http.StatusInternalServerError, err)
		}
		return controlDone()
	case "POST revoke":
		s.Revoke(params.Get("account"), params.Get("refresh") == "true")
		return controlDone()
	case "POST end":
		err := s.End(params.Get("account"), params.Get("reference"), State(params.Get("status")), params.Get("code"))
		switch {
		case errors.Is(err, ErrNotOpen):
			return controlError(http.StatusNotFound, err)
		case err != nil:
			return controlError(http.StatusBadRequest, err)
		}
		return controlDone()
	case "POST advance":
		return s.advance(params.Get("by"))
	default:
		return controlError(http.StatusNotFound, errors.New("no such control call"))
	}
}

func (s *Simulator) showLedger(account string, params url.Values) reply {
	if account == "" {
		names := make([]string, 0, len(s.accounts))
		for name := range s.accounts {
			names = append(names, name)
		}
		slices.Sort(names)
		entries := make([]Entry, 0)
		for _, name := range names {
			entries = append(entries, s.Ledger(name)...)
		}
		return controlAnswer(http.StatusOK, entries)
	}
	if _, ok := s.accounts[account]; !ok {
		return controlError(http.StatusNotFound, errors.New("no such account"))
	}
	if !params.Has("reference") {
		return controlAnswer(http.StatusOK, s.Ledger(account))
	}
	entry, ok := s.Entry(account, params.Get("reference"))
	if !ok {
		return controlError(http.StatusNotFound, errors.New("no such reference"))
	}
	return controlAnswer(http.StatusOK, entry)
}

// orderFrom reads one fault or an array of them.
func (s *Simulator) orderFrom(body io.Reader) reply {
	if body == nil {
		body = http.NoBody
	}
	raw, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil {
		return controlError(http.StatusBadRequest, err)
	}
	if !json.Valid(raw) {
		return controlError(http.StatusBadRequest, errors.New("not one JSON value"))
	}
	var ordered []Fault
	if raw = bytes.TrimSpace(raw); raw[0] != '[' {
		raw = slices.Concat([]byte{'['}, raw, []byte{']'})
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ordered); err != nil {
		return controlError(http.StatusBadRequest, err)
	}
	if err := s.Order(ordered...); err != nil {
		return controlError(http.StatusBadRequest, err)
	}
	return controlDone()
}

func (s *Simulator) advance(by string) reply {
	if s.cfg.Clock == nil {
		return controlError(http.StatusConflict, errors.New("the clock is not a manual one"))
	}
	d, err := time.ParseDuration(by)
	if err != nil || d < 0 {
		return controlError(http.StatusBadRequest, errors.New("by: not a duration of zero or more"))
	}
	s.cfg.Clock.Advance(d)
	return controlAnswer(http.StatusOK, map[string]time.Time{"now": s.cfg.Clock.Now()})
}

func controlAnswer(status int, v any) reply { return jsonReply(status, append(marshal(v), '\n')) }
func controlDone() reply                    { return reply{status: http.StatusNoContent} }

func controlError(status int, err error) reply {
	return controlAnswer(status, map[string]string{"error": err.Error()})
}
