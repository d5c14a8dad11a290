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

// First is how long from now a purchase with a hand-off of that sequence has to wait
// for a poll where it is not known when the last one was. Young ones wait for their
// first; the others have their places in the interval, so that a store that forgot
// many of them does not have the vendor asked after all at once, and one that forgets
// again and again does not put any of them off.
func (s Schedule) First(now, submitted time.Time, sequence uint64) time.Duration {
	age := max(0, now.Sub(submitted))
	if age < 2*s.Every(0) {
		return s.Due(age)
	}
	every := max(1, s.Every(age))
	// Fibonacci hashing: neighbours come far apart.
	place := time.Duration(sequence * 0x9E3779B97F4A7C15 % uint64(every))
	return (place - time.Duration(now.UnixNano())%every + every) % every
}

// Longest is the longest time between polls.
func (s Schedule) Longest() time.Duration {
	longest := time.Duration(0)
	for _, step := range s {
		longest = max(longest, step.Every)
	}
	return longest
}
