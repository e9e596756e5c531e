package smtp

import "bytes"

// LineFlags are the oddities of a line.
type LineFlags uint8

const (
	// BareLF ends the line without CR (RFC 5321 §2.3.8 forbids it).
	BareLF LineFlags = 1 << iota
	// BareCR stands inside the line (RFC 5321 §2.3.8).
	BareCR
	// NUL stands inside the line.
	NUL
	// TooLong exceeds MaxHead: the rest of it was not kept.
	TooLong
)

// Heads are the spare buffers for lines that come in pieces. One worker's
// Dialogues share one; it is not safe for more than one goroutine. The zero value
// is ready.
type Heads struct{ free []*[MaxHead]byte }

func (h *Heads) get() *[MaxHead]byte {
	if n := len(h.free); n > 0 {
		b := h.free[n-1]
		h.free = h.free[:n-1]
		return b
	}
	return new([MaxHead]byte)
}

// maxSpareHeads bounds what is kept for the next line: 1 MiB.
const maxSpareHeads = 1024

func (h *Heads) put(b *[MaxHead]byte) {
	if len(h.free) < maxSpareHeads {
		h.free = append(h.free, b)
	}
}

// lineReader cuts one direction into lines. A line ends with LF: a receiver that
// takes a bare LF as an end must not see other lines than we do.
type lineReader struct {
	head   *[MaxHead]byte // the line so far, while it comes in pieces
	length int            // of the line so far, CR and LF included, kept or not
}

// next consumes octets of b up to the end of a line. ok says that a line is
// complete; it is lent until the next call. start is its first octet's place in
// b, negative where it began in earlier octets.
func (r *lineReader) next(b []byte, heads *Heads) (n int, line []byte, flags LineFlags, start int, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		r.keep(b, heads)
		return len(b), nil, 0, 0, false
	}
	n, start = i+1, -r.length
	length := r.length + n
	if r.length == 0 {
		line = b[:min(n, MaxHead)]
	} else {
		r.keep(b[:n], heads)
		line = r.head[:min(length, MaxHead)]
	}
	if length > MaxHead {
		flags |= TooLong
	} else {
		line = line[:len(line)-1]
		if k := len(line); k > 0 && line[k-1] == '\r' {
			line = line[:k-1]
		} else {
			flags |= BareLF
		}
	}
	r.length = 0
	if bytes.IndexByte(line, '\r') >= 0 {
		flags |= BareCR
	}
	if bytes.IndexByte(line, 0) >= 0 {
		flags |= NUL
	}
	return n, line, flags, start, true
}

func (r *lineReader) keep(b []byte, heads *Heads) {
	if len(b) == 0 {
		return
	}
	if r.head == nil {
		r.head = heads.get()
	}
	if r.length < MaxHead {
		copy(r.head[r.length:], b)
	}
	r.length += len(b)
}

// partial returns the line so far, as far as it was kept.
func (r *lineReader) partial() []byte {
	if r.length == 0 {
		return nil
	}
	return r.head[:min(r.length, MaxHead)]
}

// rest gives the buffer back between lines. The line that next returned last is
// no longer valid.
func (r *lineReader) rest(heads *Heads) {
	if r.head != nil && r.length == 0 {
		heads.put(r.head)
		r.head = nil
	}
}
