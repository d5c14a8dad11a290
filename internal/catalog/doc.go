// Package catalog knows what is for sale to one account, and refuses purchases
// that the vendor would refuse for it, so that none of the few calls a minute is
// spent on them.
//
// What is known is fetched at the start and every so often, and shared by the
// processes through Redis. Being kept for minutes it proves nothing: before a
// purchase is refused, which is for ever, a fresh fetch must say the same. Where
// there is no catalog, or no fresh one can be had now, nothing is refused and
// the vendor decides.
package catalog
