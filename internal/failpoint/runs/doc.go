// Package runs holds the tests that end, stop and deceive real processes at every
// point of internal/failpoint, let another process take over, and hold the
// promises of the contract against what there is in the end.
package runs
