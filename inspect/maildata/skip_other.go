//go:build !amd64

package maildata

// skip is described in skip.go.
func skip(b []byte, lastLF, limit int, breaks bool) (n, last int) {
	return skipPortable(b, 0, lastLF, limit, breaks)
}
