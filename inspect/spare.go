package inspect

// spare keeps values for the next use, under a cap.
type spare[T any] struct{ free []*T }

// maxSpare bounds what is kept of each kind: 2.4 MB of handshakes, the largest. More
// sessions than that are seldom in the middle of one at once, and theirs are allocated.
const maxSpare = 4096

// get returns a zero T.
func (s *spare[T]) get() *T {
	if n := len(s.free); n > 0 {
		v := s.free[n-1]
		s.free = s.free[:n-1]
		return v
	}
	return new(T)
}

// put takes *v back, if there is one, and makes it nil.
func (s *spare[T]) put(v **T) {
	if *v == nil {
		return
	}
	if len(s.free) < maxSpare {
		var zero T
		**v = zero
		s.free = append(s.free, *v)
	}
	*v = nil
}
