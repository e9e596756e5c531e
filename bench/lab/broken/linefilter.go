package broken

import "bytes"

// lineFilter edits the lines of a stream as they pass, and withholds no octet that
// can't be part of a line it may have to edit: what is no SMTP must not get stuck
// in it for want of a line's end.
type lineFilter struct {
	// mayEdit says whether a line that begins so may be one to edit.
	mayEdit func(start []byte) bool
	// edit returns what is to be sent in a whole line's place. The line is lent.
	edit func(line []byte) []byte
	// opaque says that from here on all passes as it is.
	opaque func() bool

	held    []byte
	midLine bool // the rest of the line passes
}

// feed appends to dst what leaves the filter when src enters it.
func (f *lineFilter) feed(dst, src []byte) []byte {
	for len(src) > 0 {
		switch {
		case f.opaque():
			return append(f.flush(dst), src...)
		case f.midLine:
			n := bytes.IndexByte(src, '\n') + 1
			if n == 0 {
				return append(dst, src...)
			}
			dst, src = append(dst, src[:n]...), src[n:]
			f.midLine = false
		default:
			f.held = append(f.held, src[0])
			ends := src[0] == '\n'
			src = src[1:]
			switch {
			case ends:
				dst = append(dst, f.edit(f.held)...)
				f.held = f.held[:0]
			case len(f.held) == maxLine || !f.mayEdit(f.held):
				dst = f.flush(dst)
				f.midLine = true
			}
		}
	}
	return dst
}

// flush appends to dst what is held.
func (f *lineFilter) flush(dst []byte) []byte {
	dst = append(dst, f.held...)
	f.held = f.held[:0]
	return dst
}
