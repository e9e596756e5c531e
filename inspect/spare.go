package inspect

import "keepword/inspect/smtp"

// spare keeps values for the next use, under a cap.
type spare[T any] struct{ free []*T }

// maxSpare bounds what is kept of each kind.
const maxSpare = 4096

// get returns a zero T.
func (s *spare[T]) get() *T {
	if n := len(s.free); n > 0 {
		v := s.free[n-1]
		s.free = s.free[:n-1]
		var zero T
		*v = zero
		return v
	}
	return new(T)
}

func (s *spare[T]) put(v *T) {
	if len(s.free) < maxSpare {
		s.free = append(s.free, v)
	}
}

// envelope is what a client said of itself and of its first mail transaction, in one
// small buffer. What does not fit is left out.
type envelope struct {
	octets         [480]byte
	used           uint16
	heloAt, fromAt [2]uint16
	rcptAt         [8][2]uint16
	rcpts          uint8
	taken          bool // the first transaction's MAIL was seen
	later          bool // a further MAIL was
}

func (v *envelope) put(b []byte) [2]uint16 {
	first := v.used
	v.used += uint16(copy(v.octets[v.used:], b))
	return [2]uint16{first, v.used}
}

func (v *envelope) text(at [2]uint16) string { return string(v.octets[at[0]:at[1]]) }

func (v *envelope) helo() string { return v.text(v.heloAt) }
func (v *envelope) from() string { return v.text(v.fromAt) }

func (v *envelope) rcpt() (list []string) {
	for _, at := range v.rcptAt[:v.rcpts] {
		list = append(list, v.text(at))
	}
	return list
}

// note takes a command's argument.
func (v *envelope) note(ev *smtp.ClientEvent) {
	switch ev.Verb {
	case smtp.VerbEHLO, smtp.VerbHELO:
		if v.heloAt[1] == 0 {
			v.heloAt = v.put(smtp.Domain(ev.Line))
		}
	case smtp.VerbMAIL:
		if v.taken {
			v.later = true
			return
		}
		v.taken = true
		v.fromAt = v.put(smtp.Path(ev.Line))
	case smtp.VerbRCPT:
		if !v.later && int(v.rcpts) < len(v.rcptAt) {
			v.rcptAt[v.rcpts] = v.put(smtp.Path(ev.Line))
			v.rcpts++
		}
	}
}
