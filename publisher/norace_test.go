//go:build !race

package publisher

const raceFactor = 1
