package reassembly

// Follow takes note of n octets at Next that somebody else has written to b, a shared Buffer,
// and may go on writing there until Alone. It says false, and does nothing, where others are
// kept elsewhere.
func (s *Stream) Follow(b *Buffer, n int) bool {
	if s.kept != nil && s.kept != b || len(b.ahead) > 0 || int(s.next.Sub(s.base))+n > len(b.Octets) {
		return false
	}
	s.kept, b.shared.busy = b, true
	s.next = s.next.Add(n)
	return true
}

// Share moves what is kept to b, a shared Buffer that was taken and that somebody else may write
// to from here on. It says false, and does nothing, where b is too small.
func (s *Stream) Share(b *Buffer, pool *Pool) bool {
	if s.kept == nil || len(s.kept.ahead) > 0 || s.next.Sub(s.base) > int32(len(b.Octets)) {
		return false
	}
	x, y := s.view(s.base, s.next)
	put(b.Octets, s.base, x)
	put(b.Octets, s.base.Add(len(x)), y)
	b.edited, s.kept.edited = s.kept.edited, b.edited
	pool.Put(s.kept)
	s.kept, b.shared.busy = b, true
	return true
}

// Shared returns the Buffer that holds what is kept, where it is a shared one.
func (s *Stream) Shared() *Buffer {
	if s.kept == nil || s.kept.shared == nil {
		return nil
	}
	return s.kept
}

// Again says that somebody else may write to the shared Buffer again.
func (s *Stream) Again() { s.kept.shared.busy = true }

// Busy says that somebody else may be writing to the Buffer that holds what is kept.
func (s *Stream) Busy() bool { return s.kept != nil && s.kept.busy() }

// Alone says that nobody else writes to the shared Buffer any more, if there is one.
func (s *Stream) Alone(pool *Pool) {
	if !s.Busy() {
		return
	}
	s.kept.shared.busy = false
	if s.base == s.next && len(s.kept.ahead) == 0 {
		pool.Put(s.kept)
		s.kept = nil
	}
}
