package reassembly

import (
	"bytes"
	"testing"

	"keepword/inspect/seqnum"
)

// twin is a Stream and its model, driven alike.
type twin struct {
	t      *testing.T
	s      Stream
	m      *model
	start  seqnum.Value
	pool   *Pool
	limit  int
	report []Result
}

func newTwin(t *testing.T, start seqnum.Value, limit int) *twin {
	w := &twin{t: t, start: start, limit: limit, pool: NewPool(1 << 20), m: &model{seen: map[int]byte{}, edited: map[int]bool{}}}
	w.s.Init(start)
	return w
}

func (w *twin) insert(at int, b []byte) {
	want, left := w.m.insert(at, b, w.limit)
	b = bytes.Clone(b)
	got := w.s.Insert(w.start.Add(at), b, w.limit, w.pool)
	if got != want || !bytes.Equal(b, left) {
		w.t.Fatalf("from %d on: insert of %d octets at %d: %+v, want %+v; left %q, want %q", w.start, len(b), at, got, want, b, left)
	}
	w.report = append(w.report, got)
}

func (w *twin) forget(to int) {
	w.s.Forget(w.start.Add(to), w.pool)
	w.m.base = max(w.m.base, min(to, w.m.next))
}

func (w *twin) overwrite(at, n int) {
	if n == 0 || at < w.m.base || at+n > w.m.next {
		return // a caller edits octets, and only such as are kept
	}
	b := bytes.Repeat([]byte{'X'}, n)
	w.s.Overwrite(w.start.Add(at), b)
	for i := range b {
		w.m.seen[at+i], w.m.edited[at+i] = 'X', true
	}
}

func (w *twin) restore(at int, b []byte) {
	want := bytes.Clone(b)
	for i := range want {
		if at+i >= w.m.base && at+i < w.m.next {
			want[i] = w.m.seen[at+i]
		}
	}
	got := bytes.Clone(b)
	if changed := w.s.Restore(w.start.Add(at), got); changed != !bytes.Equal(b, want) || !bytes.Equal(got, want) {
		w.t.Fatalf("from %d on: restore at %d: %v %q, want %q", w.start, at, changed, got, want)
	}
}

// check compares what can be seen of both.
func (w *twin) check() {
	if w.s.Base() != w.start.Add(w.m.base) || w.s.Next() != w.start.Add(w.m.next) {
		w.t.Fatalf("from %d on: base %d, next %d; want %d, %d", w.start, w.s.Base().Sub(w.start), w.s.Next().Sub(w.start), w.m.base, w.m.next)
	}
	runs := w.m.runs()
	if first, end, ok := w.s.Hole(); ok != (len(runs) > 0) || ok && (first != w.start.Add(w.m.next) || end != w.start.Add(runs[0][0])) {
		w.t.Fatalf("from %d on: hole %d-%d %v, want %d and %v", w.start, first, end, ok, w.m.next, runs)
	}
	a, b := w.s.View(w.s.Base(), w.s.Next())
	kept := append(bytes.Clone(a), b...)
	if len(kept) != w.m.next-w.m.base {
		w.t.Fatalf("from %d on: %d octets kept, want %d", w.start, len(kept), w.m.next-w.m.base)
	}
	for i, c := range kept {
		if c != w.m.seen[w.m.base+i] {
			w.t.Fatalf("from %d on: octet %d is %q, want %q", w.start, w.m.base+i, c, w.m.seen[w.m.base+i])
		}
	}
}

// step does what the first octets of b say, and returns the others. A place is relative
// to what comes next, so that most segments are near it.
func (w *twin) step(b []byte) []byte {
	op, at, n := b[0], w.m.next+int(int8(b[1])), int(b[2])
	b = b[3:]
	if op&8 != 0 {
		at += int(int8(op)) // further away
	}
	at = max(at, w.m.base-40, 0)
	switch op & 7 {
	case 0, 1, 2, 3:
		if op&16 != 0 {
			w.insert(at, bytes.Repeat([]byte{'a' + op>>5}, n*20+1))
			break
		}
		k := min(n, len(b))
		if k > 0 {
			w.insert(at, b[:k])
		}
		b = b[k:]
	case 4:
		w.forget(at)
	case 5:
		w.overwrite(at, n)
	case 6:
		w.restore(at, bytes.Repeat([]byte{'r'}, n+1))
	case 7:
		w.insert(w.m.next, bytes.Repeat([]byte{'n'}, n+1))
	}
	w.check()
	return b
}

// FuzzStream drives a Stream beside the slow model, from 0 on and so that the sequence
// numbers wrap after as many octets as the input says: both must agree with the model,
// and with each other.
func FuzzStream(f *testing.F) {
	f.Add([]byte{7, 0, 9, 0, 3, 3, 'a', 'b', 'c', 0, 0, 9, '1', '2', '3', '4', '5', '6', '7', '8', '9', 4, 0, 0}, uint16(5))
	f.Add([]byte{16, 2, 200, 7, 0, 1, 5, 0, 3, 6, 0xf0, 40, 0x30, 0xf6, 30, 4, 0xff, 0}, uint16(1000))
	f.Add(bytes.Repeat([]byte{0, 2, 1, 'x'}, MaxHoles+3), uint16(60))
	f.Fuzz(func(t *testing.T, data []byte, before uint16) {
		const steps = 50 // the model is slow
		limit := 600
		if before%64 == 0 {
			limit = 5000 // the ring has to grow
		}
		plain, wrapping := newTwin(t, 0, limit), newTwin(t, -seqnum.Value(before), limit)
		for n := 0; len(data) >= 3 && n < steps; n++ {
			rest := plain.step(data)
			wrapping.step(data)
			data = rest
		}
		for i, r := range plain.report {
			if r != wrapping.report[i] {
				t.Fatalf("segment %d: %+v, with a wrap %+v", i, r, wrapping.report[i])
			}
		}
		for _, w := range []*twin{plain, wrapping} {
			w.s.Release(w.pool)
			if lent, _ := w.pool.Used(); lent != 0 {
				t.Fatalf("%d octets lent after release", lent)
			}
		}
	})
}

// The same octets cut in any way, and in any order, are the same stream.
func FuzzAnyCutIsTheSameStream(f *testing.F) {
	f.Add([]byte("the same octets, however they are cut"), []byte{5, 1, 9, 3}, uint16(11))
	f.Add(bytes.Repeat([]byte{1, 2, 3}, 2000), []byte{255, 200, 7}, uint16(3000))
	f.Fuzz(func(t *testing.T, text, cuts []byte, before uint16) {
		text = text[:min(len(text), 1<<13)]
		start := -seqnum.Value(before)
		var s Stream
		pool := NewPool(1 << 20)
		s.Init(start)
		type part struct{ at, n int }
		var parts []part
		for at, i := 0, 0; at < len(text); i++ {
			n := 100
			if len(cuts) > 0 {
				n = int(cuts[i%len(cuts)]) + 1
			}
			n = min(n, len(text)-at)
			parts = append(parts, part{at, n})
			at += n
		}
		// Each second part comes late, so that the others wait; no more than may.
		var late []part
		for i, p := range parts {
			if i%2 == 0 && len(late) < MaxHoles {
				late = append(late, p)
				continue
			}
			if r := s.Insert(start.Add(p.at), bytes.Clone(text[p.at:p.at+p.n]), len(text), pool); r.Changed || r.Conflict || r.Outcome > Ahead {
				t.Fatalf("part %d: %+v", i, r)
			}
		}
		for i := len(late) - 1; i >= 0; i-- {
			p := late[i]
			s.Insert(start.Add(p.at), bytes.Clone(text[p.at:p.at+p.n]), len(text), pool)
		}
		if a, b := s.View(start, s.Next()); string(a)+string(b) != string(text) {
			t.Fatalf("%d octets are kept, of %d", len(a)+len(b), len(text))
		}
	})
}
