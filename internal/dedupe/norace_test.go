//go:build !race

package dedupe

const raceFactor = 1
