// Package batch submits a file of purchases and collects what became of each.
//
// A batch can be killed at any moment and begun again with the same file: the
// reference of every row is in the file or follows from it, what the results file
// holds is not asked for again, what the ledger holds is not submitted again, and
// what is submitted twice all the same is a repeat, which leads to the first one's
// result. So no row is vended twice, and every row gets one line.
//
// The parts: readers of CSV and JSONL (Row), the check of the entire file before
// anything is sent (Plan), the results file and the state beside it, and the
// Runner, which submits and waits. The package knows JetStream by small interfaces
// only.
package batch
