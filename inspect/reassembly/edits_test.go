package reassembly

import (
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/seqnum"
)

// Edits in any order, apart, touching, nested and overlapping, beside a map of the octets.
func TestEachOctetIsKnownAsEditedOrNotAfterManyEdits(t *testing.T) {
	const octets = 120
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom(starts).Draw(t, "start")
		var s Stream
		pool := NewPool(1 << 20)
		s.Init(start)
		s.Insert(start, make([]byte, octets), 1000, pool)
		var edited [octets]bool
		base := 0
		for range rapid.IntRange(1, 40).Draw(t, "edits") {
			at := rapid.IntRange(base, octets-1).Draw(t, "at")
			n := rapid.IntRange(0, min(9, octets-at)).Draw(t, "length")
			s.Overwrite(start.Add(at), make([]byte, n))
			for i := range n {
				edited[at+i] = true
			}
			if rapid.IntRange(0, 15).Draw(t, "forget") == 0 {
				base = rapid.IntRange(base, octets-1).Draw(t, "base")
				s.Forget(start.Add(base), pool)
			}
			checkEdits(t, &s, start, base, edited[:])
		}
	})
}

// checkEdits compares what s knows of its edits, from octet base on, with a map of them.
func checkEdits(t *rapid.T, s *Stream, start seqnum.Value, base int, edited []bool) {
	runs := 0
	for i, want := range edited[base:] {
		i += base
		if got := s.wasEdited(start.Add(i)); got != want {
			t.Fatalf("octet %d was edited: %v, want %v; spans %v", i, got, want, s.kept.edited)
		}
		if want && (i == base || !edited[i-1]) {
			runs++
		}
	}
	if len(s.kept.edited) != runs || s.Edited() != (runs > 0) {
		t.Fatalf("%d spans for %d runs of edited octets: %v", len(s.kept.edited), runs, s.kept.edited)
	}
	for i := 1; i < runs; i++ {
		if !s.kept.edited[i-1].end.Less(s.kept.edited[i].first) {
			t.Fatalf("spans out of order, or not joined: %v", s.kept.edited)
		}
	}
}

// A sender that tears one stream to pieces must not leave larger Buffers to all others.
func TestASpareBufferKeepsRoomForFewSpans(t *testing.T) {
	pool := NewPool(1 << 20)
	var s Stream
	s.Init(0)
	s.Insert(0, make([]byte, 1000), 1<<11, pool)
	for i := range seqnum.Value(100) {
		s.Overwrite(2*i, []byte("x"))
		s.Insert(1001+2*i, []byte("x"), 1<<11, pool)
	}
	if len(s.kept.ahead) != 100 || len(s.kept.edited) != 100 {
		t.Fatalf("%d runs ahead and %d edits, want 100: the test shows nothing", len(s.kept.ahead), len(s.kept.edited))
	}
	s.Release(pool)
	b := pool.Get(1)
	if cap(b.ahead) > spareSpans || cap(b.edited) > spareSpans || len(b.ahead)+len(b.edited) > 0 {
		t.Errorf("room for %d spans ahead and %d edits, want at most %d", cap(b.ahead), cap(b.edited), spareSpans)
	}
}

// The few spans of an honest path need no memory a second time.
func TestASpareBufferKeepsTheRoomOfFewSpans(t *testing.T) {
	pool := NewPool(1 << 20)
	if n := testing.AllocsPerRun(100, func() {
		var s Stream
		s.Init(0)
		for i := range seqnum.Value(4) {
			s.Insert(1+2*i, []byte("x"), 1000, pool)
		}
		s.Release(pool)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
