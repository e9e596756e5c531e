package nfqueue

import "testing"

func TestAPacketHeldForHalfOfAllIDsIsNotTakenForANewOne(t *testing.T) {
	w := newWaiting(1)
	w.hold(10)
	w.newest, w.received = 10+1<<31, true
	for _, id := range []uint32{w.newest - 1, w.newest} {
		if w.noneUpTo(id) {
			t.Errorf("none waits up to %d", id)
		}
	}
}

func TestOnlyWhatIsHeldBehindAPacketDoesNotCount(t *testing.T) {
	for _, start := range []uint32{0, 1<<32 - 3, 1<<31 - 3} {
		w := newWaiting(4)
		for i := range uint32(6) {
			w.receive(start + i)
		}
		w.hold(start + 3)
		w.hold(start + 5)
		for i, want := range []bool{true, true, true, false, false, false} {
			if got := w.noneUpTo(start + uint32(i)); got != want {
				t.Errorf("from %d, packet %d: none waits: %v", start, i, got)
			}
		}
		w.release(start + 3)
		if !w.noneUpTo(start+4) || w.noneUpTo(start+5) {
			t.Errorf("from %d: after the release of packet 3", start)
		}
	}
}

func TestWithIDsOutOfOrderNothingIsSureAnyMore(t *testing.T) {
	for name, ids := range map[string][]uint32{"twice": {5, 5}, "back": {5, 4}} {
		w := newWaiting(1)
		for _, id := range ids {
			w.receive(id)
		}
		if w.receive(6); w.noneUpTo(6) {
			t.Errorf("%s: none waits", name)
		}
	}
	w := newWaiting(1)
	w.receive(1<<31 + 1) // whatever is the first
	if !w.noneUpTo(1<<31 + 1) {
		t.Error("the first packet waits for nothing")
	}
}
