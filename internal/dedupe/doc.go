// Package dedupe keeps in Redis who works on which purchase, and how far it
// has come: one record for each account and merchantReference.
//
// The record is a fast hint and never proof. Redis may lose it, a failover may
// give the same claim to two workers, and a lease may end while its owner still
// works. What rests on proof asks the streams first; the methods Mark… and
// Reopen exist to bring the record into line with what the streams hold.
//
// The states and their transitions are those of purchase.ClaimState:
//
//	absent ──Claim──▶ claimed ──Release──▶ released ──Claim──▶ claimed
//	any but settled ──MarkPending, HoldPost──▶ pending
//	any ──MarkSettled──▶ settled (expires after Config.TTL)
//	pending, settled ──Reopen──▶ claimed
//
// Every change is made by a Lua script, which compares before it sets, and looks at one
// record for each of its keys. One command bears many keys where one server holds them
// all, and one where that is not known (together). Every
// script may be sent twice: go-redis repeats a command whose answer was
// lost, so the same call with the same owner answers as if it were the first.
// Leases are counted by the clock of the Redis server, never by a process's.
//
// An error means that nothing is known: the change may have been made or not.
// Call again with the same arguments. Errors never contain a reference, which
// may be a phone number, or a password.
package dedupe
