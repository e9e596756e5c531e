package inspect

import "testing"

// What is taken from the spare ones is as new, whoever had it before.
func TestWhatIsSpareIsZeroAndBounded(t *testing.T) {
	var s spare[words]
	for range maxSpare + 10 {
		w := &words{used: 7, octets: [pieceOctets]byte{'x'}}
		if s.put(&w); w != nil {
			t.Fatal("who put it back still has it")
		}
	}
	if n := len(s.free); n != maxSpare {
		t.Errorf("%d values are spare, want %d", n, maxSpare)
	}
	for range maxSpare {
		if w := s.get(); *w != (words{}) {
			t.Fatalf("got %+v, want nothing in it", w)
		}
	}
}

// Deadlines wait in one list of which the beginning is used again.
func TestDeadlinesComeInOrderAndTheirListStaysSmall(t *testing.T) {
	const waiting, all = 5, 10_000
	var q queue
	for at := range int64(all) {
		q.push(at, uint32(at), uint64(at))
		if due := at - waiting; due >= 0 {
			if d, ok := q.due(due); !ok || d != (deadline{due, uint64(due), uint32(due)}) {
				t.Fatalf("at %d: %+v, %v", due, d, ok)
			}
			if d, ok := q.due(due); ok {
				t.Fatalf("at %d: %+v comes early", due, d)
			}
		}
	}
	if n := cap(q.list); n > 4*waiting {
		t.Errorf("%d deadlines wait in a list of %d", waiting, n)
	}
	for at := int64(all - waiting); at < all; at++ {
		q.due(at)
	}
	if d, ok := q.due(all); ok {
		t.Errorf("all have come, and %+v comes again", d)
	}
	q.push(all, 1, 1)
	if d, ok := q.due(all); !ok || d.at != all {
		t.Errorf("the first after all: %+v, %v", d, ok)
	}
}

// Of a direction that is not read, the octets that come move what is next, if they are not
// further away than senders go.
func TestAnUnreadDirectionIsFollowedWithinWhatSendersHaveInFlight(t *testing.T) {
	for _, c := range []struct{ seq, end, want int }{
		{0, 10, 10}, {-5, 5, 5}, {-10, 0, 0}, {-10, -5, 0},
		{10 << 20, 10<<20 + 5, 10<<20 + 5}, {maxFlight - 1, maxFlight + 5, maxFlight + 5}, {maxFlight, maxFlight + 5, 0},
	} {
		for _, given := range []int{0, 1<<32 - 7} {
			var h half
			h.follow(0, 0)
			h.given = h.given.Add(given)
			start := h.given
			h.follow(start.Add(c.seq), start.Add(c.end))
			if got := int(h.given.Sub(start)); got != c.want {
				t.Errorf("from %d: octets %d to %d moved what is next by %d, want %d", start, c.seq, c.end, got, c.want)
			}
		}
	}
}

// A goodbye counts where its sender may be: at what is next or so much before it as may be
// in flight again.
func TestAGoodbyeOfAnUnreadDirectionCountsWhereItsSenderMayBe(t *testing.T) {
	for at, want := range map[int]bool{
		-maxFlight: false, -maxFlight + 1: true, -1: true, 0: true, 1: false, maxFlight: false,
	} {
		var h half
		if !h.mayEnd(99) {
			t.Fatal("nothing is known, and the goodbye does not count")
		}
		h.follow(0, 77)
		if got := h.mayEnd(h.given.Add(at)); got != want {
			t.Errorf("%d octets from what is next it counts: %v, want %v", at, got, want)
		}
		h.hasFIN, h.fin = true, h.given.Add(at-1) // the sender's last word was there
		if !h.mayEnd(h.given.Add(at)) {
			t.Errorf("a goodbye behind the FIN, %d octets from what is next, does not count", at)
		}
	}
}
