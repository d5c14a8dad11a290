//go:build !race

package purchase_test

const raceFactor = 1
