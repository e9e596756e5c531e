package reassembly

import (
	"math/bits"
	"sync/atomic"
)

// The buffers are powers of two octets, from minRing on.
const (
	minRingBits = 11 // 2 KiB: any dialogue line, and an ordinary segment
	maxRingBits = 24 // 16 MiB: in flight at 1 Gbit/s over a path of 130 ms
)

// MaxRing is the most octets that a Stream can keep.
const MaxRing = 1 << maxRingBits

// Buffer is memory of a Pool.
type Buffer struct {
	// Octets are a power of two, so that a Stream can use them as a ring.
	Octets []byte

	shared *sharing // nil where nobody else writes to it
	ahead  []span   // of a Stream: beyond next, in order, apart from each other
	edited []span   // of a Stream: where the ring differs from what the sender sent
}

// sharing is what is known of a Buffer that somebody else writes to as well.
type sharing struct {
	taken *atomic.Uint32 // 1 as long as it belongs to a Stream, on either side
	busy  bool           // the other side may be writing now
	late  bool           // it was put back, and is not free before Settle
}

// Shared makes a Buffer of memory that the kernel's program writes to as well (see
// dataplane.Ring). octets are a power of two.
func Shared(octets []byte, taken *atomic.Uint32) *Buffer {
	return &Buffer{Octets: octets, shared: &sharing{taken: taken}}
}

func (b *Buffer) busy() bool { return b.shared != nil && b.shared.busy }

// Take takes a shared Buffer for a Stream, and says whether it was free.
func (b *Buffer) Take() bool { return b.shared.taken.CompareAndSwap(0, 1) }

// spareSpans is how much room for spans a spare Buffer keeps: 64 octets, enough for the few
// holes of an honest path. A Buffer that was torn to pieces once must not stay larger.
const spareSpans = 8

// Pool lends Buffers under one cap. It is not safe for more than one goroutine.
type Pool struct {
	free  [maxRingBits + 1][]*Buffer
	lent  int64
	kept  int64
	limit int64
	// Shared Buffers that were put back while somebody else may have written to them, since
	// the last Settle and the one before it.
	late [2][]*Buffer
}

// NewPool returns a Pool that holds at most limit octets, lent and spare together.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// Used returns the octets that are lent and those kept as spare.
func (p *Pool) Used() (lent, spare int64) { return p.lent, p.kept }

// Get returns a Buffer of at least size octets, nil where the cap forbids it.
func (p *Pool) Get(size int) *Buffer {
	class := max(bits.Len(uint(size-1)), minRingBits)
	if class > maxRingBits {
		return nil
	}
	n := int64(1) << class
	if f := p.free[class]; len(f) > 0 {
		p.free[class] = f[:len(f)-1]
		p.kept -= n
		p.lent += n
		return f[len(f)-1]
	}
	if p.lent+p.kept+n > p.limit && !p.drop(n) {
		return nil
	}
	p.lent += n
	return &Buffer{Octets: make([]byte, n)}
}

// drop lets go of spare Buffers until n octets are free under the cap.
func (p *Pool) drop(n int64) bool {
	for class := maxRingBits; class >= minRingBits; class-- {
		for f := p.free[class]; len(f) > 0 && p.lent+p.kept+n > p.limit; f = p.free[class] {
			f[len(f)-1] = nil
			p.free[class] = f[:len(f)-1]
			p.kept -= 1 << class
		}
	}
	return p.lent+p.kept+n <= p.limit
}

// Put gives back what Get returned.
func (p *Pool) Put(b *Buffer) {
	b.ahead, b.edited = spare(b.ahead), spare(b.edited)
	if shared := b.shared; shared != nil && shared.busy {
		shared.busy = false
		p.PutLate(b)
		return
	} else if shared != nil {
		shared.taken.Store(0)
		return
	}
	n := len(b.Octets)
	p.lent -= int64(n)
	p.kept += int64(n)
	class := bits.Len(uint(n - 1))
	p.free[class] = append(p.free[class], b)
}

// PutLate gives back a shared Buffer to which somebody else may be writing still.
func (p *Pool) PutLate(b *Buffer) {
	if !b.shared.late {
		b.shared.late = true
		p.late[0] = append(p.late[0], b)
	}
}

// Settle has shared Buffers free that were put back before the last Settle, while somebody
// else may have written to them. It is to be called so seldom that this is over by then.
func (p *Pool) Settle() {
	for _, b := range p.late[1] {
		b.shared.late = false
		b.shared.taken.Store(0)
	}
	p.late[0], p.late[1] = p.late[1][:0], p.late[0]
}

func spare(s []span) []span {
	if cap(s) > spareSpans {
		return nil
	}
	return s[:0]
}
