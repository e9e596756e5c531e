package main

import (
	"fmt"
	"slices"
	"testing"

	"keepword/inspect/policy"
	v "keepword/inspect/verdict"
)

// However an end cuts what it says, the finding is the same, and so is what is done. Only
// the words may differ: of a line of which a part has left the rest is overwritten, a client
// that has a part of a reply is not told 421, and a command whose verb has left can't be
// refused any more, so that its connection is ended.
func TestAFindingIsTheSameHoweverItsOctetsAreCut(t *testing.T) {
	for _, f := range fixtures() {
		if f.Finding == v.TooManyHoles || f.Finding == v.MemoryLimit || f.Variant == tooLong {
			continue // they are about how many segments or octets there are
		}
		for _, a := range policy.Allowed(f.Finding) {
			for _, cut := range []int{1, 2, 3, 7} {
				if a == v.Delay && cut == 1 {
					continue // more packets than are held: the others are dropped, and nobody here repeats them
				}
				for _, mode := range []v.Mode{v.Enforce, v.Observe} {
					c := pureCase{f, setting{mode: mode, action: a}, everywhere, false}
					for _, fault := range c.playInPieces(cut) {
						t.Errorf("%v, in pieces of %d: %s", c, cut, fault)
					}
				}
			}
		}
	}
}

// playInPieces plays c, and judges what does not depend on the pieces.
func (c pureCase) playInPieces(cut int) (faults []string) {
	w := newPureWire(c.config())
	port := uint16(40000)
	to := pureServers[false][0]
	p := start(w, to.Prev(), to, func() uint16 { port++; return port })
	p.segment = cut
	c.Fixture.play(p, c.setting)
	late := len(w.events) > 0 && c.effect(c.setting) == v.Refuse && w.events[len(w.events)-1].action == v.Kill.String()
	m := c.setting
	if late {
		m.action = v.Kill
	}
	if m.mode == v.Observe {
		faults = judge(c.Fixture, m, p)
	} else if p.keep(); c.Fixture.effect(m) == v.Kill {
		faults = killedInPieces(p)
	} else if faults = alive(p); !c.Lossy {
		for i := range p.said {
			if len(p.said[i]) != len(p.heard[1-i]) {
				faults = append(faults, fmt.Sprintf("of the %v's %d octets %d arrived", side(i), len(p.said[i]), len(p.heard[1-i])))
			}
		}
	}
	w.pipeline.Flush(w.now)
	return append(faults, judgeEvents(c.Fixture, m, w.events)...)
}

// killedInPieces says what is wrong with a connection that was ended.
func killedInPieces(p *play) (faults []string) {
	if !p.wasReset[client] || !p.wasReset[server] {
		faults = append(faults, "it goes on")
	}
	for _, tp := range slices.Concat(p.arrived[:]...) {
		if tp == p.last || payload(tp) == afterthought {
			faults = append(faults, fmt.Sprintf("%.40q arrived", payload(tp)))
		}
	}
	return faults
}
