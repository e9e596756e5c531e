package inspect

import (
	"fmt"
	"reflect"

	"keepword/inspect/flow"
)

// Lent returns the octets that sessions hold of the pipeline's memory.
func (p *Pipeline) Lent() int64 {
	lent, _ := p.memory.Used()
	return lent
}

// Broken says what does not hold of the sequence numbers of any session that is being
// read (see half), or of what it borrows; empty: all does.
func (p *Pipeline) Broken() (what string) {
	p.flows.Each(func(e *flow.Entry[session]) {
		s := &e.Value
		switch {
		case s.id == 0 || s.key != &e.Key:
			what = "a session without a name"
		case s.phase >= passing && (s.held != nil || s.tls != nil || s.half[0].stream.Base() != s.half[0].stream.Next() || s.half[1].stream.Base() != s.half[1].stream.Next()):
			what = "a session that is read no more keeps what it borrowed"
		case s.isDone && s.words != nil:
			what = "a session that was reported keeps its words"
		}
		for d := range s.half {
			h := &s.half[d]
			if s.phase >= passing || !h.opened {
				continue
			}
			base, next := h.stream.Base(), h.stream.Next()
			if !(h.first.LessEq(base) && base.LessEq(h.parsed) && h.parsed.LessEq(next) &&
				h.first.LessEq(h.given) && h.given.LessEq(next) && h.given.LessEq(h.beyond) && h.acked.LessEq(next)) {
				what = fmt.Sprintf("direction %d: from its first octet: base %d, parsed %d, next %d, given %d, beyond %d, acknowledged %d", d,
					base.Sub(h.first), h.parsed.Sub(h.first), next.Sub(h.first), h.given.Sub(h.first), h.beyond.Sub(h.first), h.acked.Sub(h.first))
			}
		}
	})
	return what
}

// Flows returns how many flows of a class there are.
func (p *Pipeline) Flows(c flow.Class) int { return p.flows.Len(c) }

// MaxHeld is how many packets of a session may wait.
const MaxHeld = maxHeld

// EntryOctets is what a session takes in the table of flows.
var EntryOctets = int(reflect.TypeFor[flow.Entry[session]]().Size())
