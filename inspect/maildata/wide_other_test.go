//go:build !amd64

package maildata

// withoutWide runs f with the portable code alone, which is all there is.
func withoutWide(f func()) { f() }
