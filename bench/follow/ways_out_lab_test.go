//go:build lab

package follow

import (
	"fmt"
	"testing"
)

// A way takes a dialogue to a point and does there what the kernel must leave to inspection.
type way struct {
	name string
	// reason names the counter of those that come up so.
	reason string
	// start returns the connection at hand; nil: one that the kernel follows.
	start func(t *testing.T) *link
	// before is what is said on it, all of which goes on by itself.
	before []turn
	// last sends the packet that must come up, and says whether it has gone on by itself.
	last func(l *link) bool
}

// walk walks the way on a gateway of its own, and says what went wrong. arm is called before
// the last step.
func (w *way) walk(t *testing.T, arm func(*Gateway)) error {
	t.Helper()
	start := w.start
	if start == nil {
		start = followed
	}
	l := start(t)
	for _, said := range w.before {
		if !l.say(said.toServer, said.octets) {
			return fmt.Errorf("%q came up", said.octets)
		}
	}
	arm(l.Gateway)
	was := reasons(t)
	passed := w.last(l)
	for name, n := range reasons(t) {
		want := was[name]
		if name == w.reason {
			want++
		}
		if n != want {
			return fmt.Errorf("%d were counted as %q, want %d", n-was[name], name, want-was[name])
		}
	}
	if passed {
		return fmt.Errorf("it has passed")
	}
	l.wantNoDifference()
	l.wantOneTruth()
	return nil
}

// reasons returns how many packets did not go on by themselves, by the counter's name.
func reasons(t *testing.T) map[string]uint64 {
	t.Helper()
	c, m := counts(t)
	m["busy"] = c.Busy
	return m
}

func TestWhatIsNotPlainComesUpAndIsCountedByItsReason(t *testing.T) {
	for _, w := range waysOut() {
		if err := w.walk(t, func(*Gateway) {}); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
}

// A way that ends in a packet that would come up wherever it stood shows nothing of the place
// where it is said.
func TestWhatIsAwaitedThereGoesOnByItself(t *testing.T) {
	for _, s := range spots {
		l := followed(t)
		for _, said := range append(s.before[:len(s.before):len(s.before)], s.awaited) {
			if !l.say(said.toServer, said.octets) {
				t.Errorf("%s: %q came up", s.name, said.octets)
			}
		}
		l.wantNoDifference()
		l.wantOneTruth()
	}
}

func TestEachReasonToComeUpHasAWay(t *testing.T) {
	met := map[string]bool{"large": true} // bench/schedule has packets of that size
	for _, w := range waysOut() {
		met[w.reason] = true
	}
	for name := range reasons(t) {
		if !met[name] {
			t.Errorf("no way ends in %q", name)
		}
	}
}

// The failing controls: each way must find a program out that lets its last packet through, and
// one that lets it through and counts it as if it had come up.
func TestEachWayFindsAProgramOutThatLetsItsPacketThrough(t *testing.T) {
	for _, w := range waysOut() {
		if w.walk(t, func(g *Gateway) {
			g.Decide = func(pkt []byte) (bool, []byte, error) { return true, pkt, nil }
		}) == nil {
			t.Errorf("%s: nothing is wrong where the packet passes uncounted", w.name)
		}
		if w.reason == "busy" {
			continue // it is dropped, and there is nothing to let through
		}
		if w.walk(t, func(g *Gateway) {
			decide := g.Decide
			g.Decide = func(pkt []byte) (bool, []byte, error) {
				_, out, err := decide(pkt)
				return true, out, err
			}
		}) == nil {
			t.Errorf("%s: nothing is wrong where the packet passes", w.name)
		}
	}
}
