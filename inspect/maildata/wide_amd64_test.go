package maildata

// withoutWide runs f with the portable code alone.
func withoutWide(f func()) {
	defer func(was bool) { wide = was }(wide)
	wide = false
	f()
}
