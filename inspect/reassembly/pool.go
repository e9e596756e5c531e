package reassembly

import "math/bits"

// The rings are powers of two octets, from minRing on.
const (
	minRingBits = 11 // 2 KiB: any dialogue line, and an ordinary segment
	maxRingBits = 24
)

// MaxRing is the most octets that a Stream can keep.
const MaxRing = 1 << maxRingBits

// Pool lends the rings of one worker's Streams under one cap. It is not safe for
// more than one goroutine.
type Pool struct {
	free  [maxRingBits + 1][][]byte
	lent  int64
	kept  int64
	limit int64
}

// NewPool returns a Pool that holds at most limit octets, lent and spare together.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// Used returns the octets that are lent and those kept as spare.
func (p *Pool) Used() (lent, spare int64) { return p.lent, p.kept }

// Get returns a buffer of at least size octets, a power of two, nil where the cap forbids it.
func (p *Pool) Get(size int) []byte {
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
	return make([]byte, n)
}

// drop lets go of spare rings until n octets are free under the cap.
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

// Put gives back what Get returned, at its full length.
func (p *Pool) Put(b []byte) {
	b = b[:cap(b)]
	class := bits.Len(uint(len(b) - 1))
	p.lent -= int64(len(b))
	p.kept += int64(len(b))
	p.free[class] = append(p.free[class], b)
}
