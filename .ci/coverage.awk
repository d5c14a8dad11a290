# Reads a coverage profile, in which a block may stand once for each test
# binary, and prints the share of covered statements of each package. Fails
# where one is below least.
NR > 1 {
	statements[$1] = $2
	hits[$1] += $3
}
END {
	for (block in statements) {
		package = block
		sub(/\/[^\/]*$/, "", package)
		all[package] += statements[block]
		if (hits[block] > 0) covered[package] += statements[block]
		packages[package] = 1
	}
	failed = NR < 2
	for (package in packages) {
		share = 100 * covered[package] / all[package]
		verdict = ""
		if (share < least) {
			verdict = "  below " least " %"
			failed = 1
		}
		printf "%5.1f %%  %s%s\n", share, package, verdict
	}
	exit failed
}
