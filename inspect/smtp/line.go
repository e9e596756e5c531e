package smtp

import (
	"bytes"
	"encoding/binary"
)

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

// line is a line that comes in pieces.
type line struct {
	head   [MaxHead]byte // its beginning
	length int           // of it so far, CR and LF included, kept or not; 0: it is over
}

// lineReader cuts one direction into lines. A line ends with LF: a receiver that
// takes a bare LF as an end must not see other lines than we do.
type lineReader struct {
	line *line // the line so far, nil between lines
}

// next consumes octets of b up to the end of a line. ok says that a line is
// complete; it is lent until the next call. start is its first octet's place in
// b, negative where it began in earlier octets.
func (r *lineReader) next(b []byte, spare *Spare) (n int, line []byte, flags LineFlags, start int, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		r.keep(b, spare)
		return len(b), nil, 0, 0, false
	}
	n, start = i+1, -r.length()
	length := n - start
	if start == 0 {
		line = b[:min(n, MaxHead)]
	} else {
		r.keep(b[:n], spare)
		line = r.line.head[:min(length, MaxHead)]
		r.line.length = 0
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
	return n, line, flags | oddOctets(line), start, true
}

// oddOctets says which odd octets stand in a line. It takes eight at a time, as most lines
// have none of them, nor any other control octet up to CR.
func oddOctets(line []byte) (flags LineFlags) {
	const (
		ones = 0x0101010101010101
		tops = 0x80 * ones
	)
	i := 0
	for ; i+8 <= len(line); i += 8 {
		x := binary.LittleEndian.Uint64(line[i:])
		if (x-ones*('\r'+1))&^x&tops != 0 { // an octet is at most CR
			flags |= oddAmong(line[i : i+8])
		}
	}
	return flags | oddAmong(line[i:])
}

func oddAmong(b []byte) (flags LineFlags) {
	for _, c := range b {
		switch c {
		case '\r':
			flags |= BareCR
		case 0:
			flags |= NUL
		}
	}
	return flags
}

func (r *lineReader) keep(b []byte, spare *Spare) {
	if len(b) == 0 {
		return
	}
	if r.line == nil {
		r.line = spare.lines.get()
	}
	if r.line.length < MaxHead {
		copy(r.line.head[r.line.length:], b)
	}
	r.line.length += len(b)
}

// length returns the length of the line so far.
func (r *lineReader) length() int {
	if r.line == nil {
		return 0
	}
	return r.line.length
}

// partial returns the line so far, as far as it was kept.
func (r *lineReader) partial() []byte {
	if r.line == nil {
		return nil
	}
	return r.line.head[:min(r.line.length, MaxHead)]
}

// over makes the line so far none.
func (r *lineReader) over() {
	if r.line != nil {
		r.line.length = 0
	}
}

// rest gives the buffer back between lines. The line that next returned last is
// no longer valid.
func (r *lineReader) rest(spare *Spare) {
	if r.line != nil && r.line.length == 0 {
		spare.lines.put(&r.line)
	}
}
