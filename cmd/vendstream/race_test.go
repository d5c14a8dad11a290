//go:build race

package main

// underRace loosens what a test asks of time: the race detector makes every step
// several times slower.
const underRace = true
