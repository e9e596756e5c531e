package main

import (
	"strings"
	"testing"

	"keepword/bench/line/load"
)

// stamped returns what a server says of a message that came whole.
func stamped(id load.ID) (head string, sum [32]byte) {
	sum[0] = byte(id)
	head = "X-Line: " + id.String() + " " + strings.Repeat("0", 64)
	return strings.Replace(head, " 00000000000000000000000000000000000000000000000000000000000000", " "+hexOf(byte(id))+strings.Repeat("0", 60), 1), sum
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

func TestTheBookFindsWhatWasLostDuplicatedAndChanged(t *testing.T) {
	ids := load.IDs(7)
	b := book{sequence: 7}
	take := func(id load.ID) { b.received(stamped(id)) }

	whole, lost, twice, changed, failed := ids.Next(), ids.Next(), ids.Next(), ids.Next(), ids.Next()
	for _, id := range []load.ID{whole, lost, twice, changed} {
		b.told(id, "")
	}
	b.told(failed, "it broke")
	take(whole)
	take(twice)
	take(twice)
	head, sum := stamped(changed)
	sum[31] ^= 1
	b.received(head, sum)
	take(load.IDs(8).Next()) // of another sequence
	b.received("Subject: no stamp", sum)

	got := b.now()
	// What came changed has not come.
	if got.Acked != 4 || got.Failed != 1 || got.Lost != 2 || got.Duplicated != 1 || got.Changed != 3 || got.Taken != 6 {
		t.Errorf("%+v", got)
	}
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[0], "it broke") {
		t.Errorf("failures %q", got.Failures)
	}
}

func TestASetKnowsWhatIsNew(t *testing.T) {
	var s, other set
	for _, n := range []uint32{0, 63, 64, 1000} {
		if !s.add(n) || s.add(n) {
			t.Errorf("%d", n)
		}
	}
	other.add(64)
	if n := s.without(other); n != 3 {
		t.Errorf("%d without one of four", n)
	}
}
