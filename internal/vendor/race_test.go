//go:build race

package vendor

// raceFactor loosens allocation budgets: the race detector keeps values on the
// heap that are else on the stack, and empties pools at random.
const raceFactor = 3
