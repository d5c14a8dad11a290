//go:build failpoint

package vendor

// With failpoints thousands of processes are started for a few seconds each, with
// passwords that are no secret.
const stretching = 100
