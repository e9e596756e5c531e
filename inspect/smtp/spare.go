package smtp

import "keepword/inspect/maildata"

// Spare lends to the Dialogues of one worker what only a few need at a time, and holds the
// events that they return. It is not safe for more than one goroutine. The zero value is
// ready.
type Spare struct {
	client   ClientEvent
	server   ServerEvent
	lines    stack[line]
	scanners stack[maildata.Scanner]
}

// stack keeps values for the next use, as they were left.
type stack[T any] struct{ free []*T }

// maxSpare bounds what is kept of each kind: 1 MiB of lines. Few sessions are in the middle
// of a line when a segment ends; what more of them need at once is allocated.
const maxSpare = 1024

func (s *stack[T]) get() *T {
	if n := len(s.free); n > 0 {
		v := s.free[n-1]
		s.free = s.free[:n-1]
		return v
	}
	return new(T)
}

// put takes *v back, if there is one, and makes it nil.
func (s *stack[T]) put(v **T) {
	if *v != nil && len(s.free) < maxSpare {
		s.free = append(s.free, *v)
	}
	*v = nil
}
