//go:build !failpoint

package vendor

// stretching is how often PBKDF2 hashes the password, which may be weak, so
// that whoever reads the store of a TokenShare cannot try many (OWASP, Password
// Storage Cheat Sheet: 210,000 with SHA-512). It takes about 0.15 s, once in the
// life of a client, and four times that under the race detector.
const stretching = 210_000
