//go:build !race

package vendor

const raceFactor = 1
