package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Variable is the environment variable that arms the points of a process.
const Variable = "VENDSTREAM_FAILPOINTS"

// Action is what happens at a point.
type Action string

// The actions. Die kills the process with SIGKILL, without any clean-up. Pause
// stops all of it, as SIGSTOP does, for a time: "pause:3s". Lose lets the effect
// happen and gives its caller an error, as a lost answer does; it is for points
// after an effect. Error gives the caller an error and has no effect; it is for
// points before one.
const (
	Die   Action = "die"
	Pause Action = "pause"
	Lose  Action = "lose"
	Error Action = "error"
)

const (
	before = ":before"
	after  = ":after"
)

// order is one action at one point.
type order struct {
	action Action
	pause  time.Duration
	at     int // the hit that it strikes at, from 1
}

// trace, in the place of an order, writes every hit of every point.
const trace = "trace"

// parse reads the orders of a process, by point. All errors name the order.
func parse(text string) (armed map[string][]order, traced bool, err error) {
	points := Points()
	armed = map[string][]order{}
	for one := range strings.SplitSeq(text, ";") {
		switch one = strings.TrimSpace(one); one {
		case "":
			continue
		case trace:
			traced = true
			continue
		}
		point, what, ok := strings.Cut(one, "=")
		if !ok {
			return nil, false, fmt.Errorf("failpoint: %q: want point=action@n", one)
		}
		if !slices.Contains(points, point) {
			return nil, false, fmt.Errorf("failpoint: %q: there is no such point", one)
		}
		what, nth, ok := strings.Cut(what, "@")
		o := order{at: 1}
		if ok {
			n, err := strconv.Atoi(nth)
			if err != nil || n < 1 {
				return nil, false, fmt.Errorf("failpoint: %q: want a number from 1 behind @", one)
			}
			o.at = n
		}
		name, length, timed := strings.Cut(what, ":")
		o.action = Action(name)
		if timed != (o.action == Pause) {
			return nil, false, fmt.Errorf("failpoint: %q: a pause has a length, such as pause:3s, and nothing else has", one)
		}
		if timed {
			d, err := time.ParseDuration(length)
			if err != nil || d <= 0 {
				return nil, false, fmt.Errorf("failpoint: %q: %q is not a length of time", one, length)
			}
			o.pause = d
		}
		if !slices.Contains(Actions(point), o.action) {
			return nil, false, fmt.Errorf("failpoint: %q: the actions of this point are %v", one, Actions(point))
		}
		armed[point] = append(armed[point], o)
	}
	return armed, traced, nil
}
