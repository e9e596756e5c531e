package reassembly

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/seqnum"
)

// model is a Stream that is obviously correct: each octet under its place in the
// stream, which never wraps.
type model struct {
	seen       map[int]byte
	edited     map[int]bool
	base, next int
}

func (m *model) advance() {
	for _, ok := m.seen[m.next]; ok; _, ok = m.seen[m.next] {
		m.next++
	}
}

// runs are the octets beyond next, as first place and end of each run.
func (m *model) runs() (list [][2]int) {
	var places []int
	for at := range m.seen {
		if at > m.next {
			places = append(places, at)
		}
	}
	slices.Sort(places)
	for _, at := range places {
		if k := len(list); k > 0 && list[k-1][1] == at {
			list[k-1][1]++
		} else {
			list = append(list, [2]int{at, at + 1})
		}
	}
	return list
}

// insert says what is to become of b at place at.
func (m *model) insert(at int, b []byte, limit int) (want Result, left []byte) {
	left = bytes.Clone(b)
	end := at + len(b)
	if end <= m.base {
		return want, left
	}
	if end-m.base > limit {
		return Result{Outcome: TooFar}, left
	}
	if at > m.next && !slices.ContainsFunc(m.runs(), func(r [2]int) bool { return r[0] <= end && at <= r[1] }) && len(m.runs()) >= MaxHoles {
		return Result{Outcome: TooManyHoles}, left
	}
	before := m.next
	for i := range left {
		place := at + i
		if place < m.base {
			continue
		}
		first, known := m.seen[place]
		if !known {
			m.seen[place] = left[i]
			continue
		}
		if left[i] != first {
			want.Changed = true
			want.Conflict = want.Conflict || !m.edited[place]
			left[i] = first
		}
	}
	m.advance()
	switch {
	case m.next > before:
		want.Outcome = Advanced
	case end > m.next:
		want.Outcome = Ahead
	}
	return want, left
}

var starts = []seqnum.Value{0, 1, 1<<31 - 30, 1<<32 - 1, 1<<32 - 40, 1<<32 - 2100}

func TestAStreamKeepsTheOctetsThatWereSeenFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom(starts).Draw(t, "start")
		limit := rapid.SampledFrom([]int{60, 200, 5000}).Draw(t, "limit")
		pool := NewPool(1 << 20)
		var s Stream
		s.Init(start)
		m := &model{seen: map[int]byte{}, edited: map[int]bool{}}
		segment := func(t *rapid.T) (at int, b []byte) {
			at = max(m.base+rapid.IntRange(-20, limit+10).Draw(t, "at"), 0)
			b = rapid.SliceOfN(rapid.ByteRange('a', 'c'), 1, 30).Draw(t, "octets")
			if rapid.IntRange(0, 20).Draw(t, "long") == 0 {
				b = bytes.Repeat(b, 80)
			}
			return at, b
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				at, b := segment(t)
				want, left := m.insert(at, b, limit)
				if got := s.Insert(start.Add(at), b, limit, pool); got != want {
					t.Fatalf("insert at %d of %q: %+v, want %+v", at, b, got, want)
				}
				if !bytes.Equal(b, left) {
					t.Fatalf("insert at %d left %q, want %q", at, b, left)
				}
			},
			"next": func(t *rapid.T) { // as most segments are
				b := rapid.SliceOfN(rapid.ByteRange('a', 'c'), 1, 30).Draw(t, "octets")
				want, _ := m.insert(m.next, b, limit)
				if got := s.Insert(start.Add(int(s.Next().Sub(start))), b, limit, pool); got != want {
					t.Fatalf("insert of what is next: %+v, want %+v", got, want)
				}
			},
			"forget": func(t *rapid.T) {
				to := m.base + rapid.IntRange(-5, limit).Draw(t, "to")
				s.Forget(start.Add(to), pool)
				m.base = max(m.base, min(to, m.next))
			},
			"overwrite": func(t *rapid.T) {
				if m.base == m.next {
					t.Skip("nothing is kept")
				}
				at := rapid.IntRange(m.base, m.next-1).Draw(t, "at")
				b := bytes.Repeat([]byte{'X'}, rapid.IntRange(1, m.next-at).Draw(t, "length"))
				s.Overwrite(start.Add(at), b)
				for i, c := range b {
					m.seen[at+i], m.edited[at+i] = c, true
				}
			},
			"restore": func(t *rapid.T) {
				at, b := segment(t)
				want := bytes.Clone(b)
				for i := range want {
					if at+i >= m.base && at+i < m.next {
						want[i] = m.seen[at+i]
					}
				}
				changed := !bytes.Equal(b, want)
				if got := s.Restore(start.Add(at), b); got != changed || !bytes.Equal(b, want) {
					t.Fatalf("restore at %d: %v %q, want %v %q", at, got, b, changed, want)
				}
			},
			"": func(t *rapid.T) {
				if s.Base() != start.Add(m.base) || s.Next() != start.Add(m.next) {
					t.Fatalf("base %d, next %d; want %d, %d", s.Base().Sub(start), s.Next().Sub(start), m.base, m.next)
				}
				runs := m.runs()
				first, end, ok := s.Hole()
				if ok != (len(runs) > 0) || ok && (first != start.Add(m.next) || end != start.Add(runs[0][0])) {
					t.Fatalf("hole %d-%d %v, want %d and %v", first, end, ok, m.next, runs)
				}
				a, b := s.View(s.Base(), s.Next())
				for i, c := range append(bytes.Clone(a), b...) {
					if c != m.seen[m.base+i] {
						t.Fatalf("octet %d is %q, want %q", m.base+i, c, m.seen[m.base+i])
					}
				}
				if len(a)+len(b) != m.next-m.base {
					t.Fatalf("%d octets kept, want %d", len(a)+len(b), m.next-m.base)
				}
				if lent, _ := pool.Used(); lent > 0 && m.base == m.next && len(runs) == 0 && len(a) == 0 && s.kept == nil {
					t.Fatalf("%d octets lent to an empty stream", lent)
				}
			},
		})
		s.Release(pool)
		if lent, _ := pool.Used(); lent != 0 {
			t.Fatalf("%d octets lent after release", lent)
		}
	})
}

func TestOneHoleMoreThanMaxHolesIsRefusedAndNothingIsLost(t *testing.T) {
	for _, start := range starts {
		var s Stream
		pool := NewPool(1 << 20)
		s.Init(start)
		for i := range MaxHoles {
			if r := s.Insert(start.Add(2+2*i), []byte{byte(i)}, 1000, pool); r.Outcome != Ahead {
				t.Fatalf("run %d: %+v", i, r)
			}
		}
		if r := s.Insert(start.Add(2+2*MaxHoles), []byte{99}, 1000, pool); r.Outcome != TooManyHoles {
			t.Errorf("one run more: %+v", r)
		}
		if r := s.Insert(start.Add(3), []byte{77}, 1000, pool); r.Outcome != Ahead {
			t.Errorf("what joins two runs: %+v", r)
		}
		if r := s.Insert(start.Add(2+2*MaxHoles), []byte{99}, 1000, pool); r.Outcome != Ahead {
			t.Errorf("after two have been joined: %+v", r)
		}
		filler := bytes.Repeat([]byte{55}, 2+2*MaxHoles)
		if r := s.Insert(start, filler, 1000, pool); r.Outcome != Advanced || !r.Conflict {
			t.Errorf("filling all holes: %+v", r)
		}
		if got := int(s.Next().Sub(start)); got != 3+2*MaxHoles {
			t.Errorf("next %d, want %d", got, 3+2*MaxHoles)
		}
		a, b := s.View(start, s.Next())
		all := append(bytes.Clone(a), b...)
		for i := range MaxHoles {
			if all[2+2*i] != byte(i) {
				t.Errorf("octet %d is %d, want %d, the one seen first", 2+2*i, all[2+2*i], i)
			}
		}
		if all[3] != 77 || all[2+2*MaxHoles] != 99 || all[0] != 55 {
			t.Errorf("octets %v", all)
		}
	}
}

func TestWhatDoesNotFitTheLimitIsNotTaken(t *testing.T) {
	for _, start := range starts {
		var s Stream
		pool := NewPool(1 << 20)
		s.Init(start)
		s.Insert(start, []byte("abc"), 10, pool)
		forged := []byte("XYZdefghijk")
		if r := s.Insert(start, forged, 10, pool); r != (Result{Outcome: TooFar}) || string(forged) != "XYZdefghijk" {
			t.Errorf("%+v, left %q", r, forged)
		}
		if r := s.Insert(start.Add(3), []byte("defghij"), 10, pool); r.Outcome != Advanced {
			t.Errorf("up to the limit: %+v", r)
		}
		s.Forget(start.Add(4), pool)
		if r := s.Insert(start.Add(10), []byte("klmn"), 10, pool); r.Outcome != Advanced {
			t.Errorf("after some was forgotten: %+v", r)
		}
		if a, b := s.View(s.Base(), s.Next()); string(a)+string(b) != "efghijklmn" {
			t.Errorf("kept %q", string(a)+string(b))
		}
	}
}

func TestWithoutMemoryWhatIsKeptStays(t *testing.T) {
	pool := NewPool(1 << minRingBits)
	var s, other Stream
	s.Init(0)
	other.Init(0)
	s.Insert(0, []byte("abc"), 1<<16, pool)
	if r := other.Insert(0, []byte("x"), 1<<16, pool); r.Outcome != NoMemory {
		t.Fatalf("over the cap: %+v", r)
	}
	long := bytes.Repeat([]byte{'z'}, 1<<minRingBits)
	if r := s.Insert(3, long, 1<<16, pool); r.Outcome != NoMemory || s.Next() != 3 {
		t.Fatalf("over the cap: %+v, next %d", r, s.Next())
	}
	if a, _ := s.View(0, 3); string(a) != "abc" {
		t.Errorf("kept %q", a)
	}
	s.Forget(3, pool)
	if lent, spare := pool.Used(); lent != 0 || spare != 1<<minRingBits {
		t.Errorf("%d lent, %d spare", lent, spare)
	}
	if r := other.Insert(0, []byte("x"), 1<<16, pool); r.Outcome != Advanced {
		t.Errorf("once there is room: %+v", r)
	}
}

func TestAStreamLongerThanTheSequenceSpaceGoesOn(t *testing.T) {
	const piece = 1 << 22
	var s Stream
	pool := NewPool(64 << 20)
	at := seqnum.Value(1<<32 - 1000)
	s.Init(at)
	b := make([]byte, piece)
	for sent := uint64(0); sent < 1<<32+3*piece; sent += piece {
		mark := byte(sent >> 22)
		b[0], b[piece-1] = mark, mark+1
		if r := s.Insert(at, b, piece, pool); r != (Result{Outcome: Advanced}) {
			t.Fatalf("after %d octets: %+v", sent, r)
		}
		x, y := s.View(at, s.Next())
		last := x
		if len(y) > 0 {
			last = y
		}
		if x[0] != mark || last[len(last)-1] != mark+1 || len(x)+len(y) != piece {
			t.Fatalf("after %d octets another piece is kept", sent)
		}
		at = at.Add(piece)
		s.Forget(at, pool)
	}
	if lent, _ := pool.Used(); lent != 0 {
		t.Errorf("%d octets lent when all were forgotten", lent)
	}
}

func TestAPoolStaysUnderItsCapAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1 << 16
		pool := NewPool(limit)
		var lent []*Buffer
		sum := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				size := rapid.IntRange(1, limit+1).Draw(t, "size")
				b := pool.Get(size)
				if b == nil {
					rounded := int64(1) << minRingBits
					for rounded < int64(size) {
						rounded *= 2
					}
					if sum+rounded <= limit {
						t.Fatalf("no %d octets although %d of %d are lent", size, sum, limit)
					}
					return
				}
				if n := len(b.Octets); n < size || n&(n-1) != 0 {
					t.Fatalf("%d octets for %d", n, size)
				}
				lent = append(lent, b)
				sum += int64(len(b.Octets))
			},
			"put": func(t *rapid.T) {
				if len(lent) == 0 {
					t.Skip("nothing is lent")
				}
				i := rapid.IntRange(0, len(lent)-1).Draw(t, "which")
				sum -= int64(len(lent[i].Octets))
				pool.Put(lent[i])
				lent = slices.Delete(lent, i, i+1)
			},
			"": func(t *rapid.T) {
				if l, spare := pool.Used(); l != sum || l+spare > limit {
					t.Fatalf("%d lent and %d spare, want %d lent and at most %d", l, spare, sum, limit)
				}
			},
		})
	})
}

func TestASegmentHalfTheSequenceSpaceAwayIsNothing(t *testing.T) {
	for _, start := range starts {
		for _, kept := range []string{"", "abc"} {
			for off := -4; off <= 4; off++ {
				var s Stream
				pool := NewPool(1 << 20)
				s.Init(start)
				s.Insert(start, []byte(kept), 1000, pool)
				far := start.Add(1<<31 + off)
				b := []byte("XY")
				if s.Restore(far, b) || string(b) != "XY" {
					t.Errorf("restored to %q", b)
				}
				if r := s.Insert(far, b, 1000, pool); r.Outcome != Nothing && r.Outcome != TooFar || r.Changed {
					t.Errorf("2^31%+d: %+v", off, r)
				}
				if x, y := s.View(s.Base(), s.Next()); string(x)+string(y) != kept {
					t.Errorf("kept %q %q, want %q", x, y, kept)
				}
			}
		}
	}
}
