package poller

import "time"

// Step is one row of the schedule: purchases submitted less than Until ago are
// polled Every so often. The last step's Until is not looked at.
type Step struct {
	Until time.Duration
	Every time.Duration
}

// Schedule says how often an open purchase is polled, by the time since it was
// submitted (pagamio-api.md, "Transactions": 5 s in the first minute, 30 s up to
// five minutes, 5 minutes after that).
type Schedule []Step

// Every is the time between polls of a purchase of that age.
func (s Schedule) Every(age time.Duration) time.Duration {
	for i, step := range s {
		if age < step.Until || i == len(s)-1 {
			return step.Every
		}
	}
	return 5 * time.Minute
}

// Due is how long a purchase of that age has to wait for its first poll.
func (s Schedule) Due(age time.Duration) time.Duration {
	return max(0, s.Every(0)-age)
}
