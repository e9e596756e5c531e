package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// bufferOctets is the size of a session's buffer for what comes in: what a large message
// is read and searched by, small enough for the processor's cache.
const bufferOctets = 256 << 10

// wire is one end of a session, in clear text or in TLS: lines and mail data come in,
// octets go out. What is to be sent is gathered until input is waited for, as mail
// programs do it, so that an answer to several commands leaves in one segment.
type wire struct {
	conn io.ReadWriter
	in   []byte
	r, w int // in[r:w] has come and is not used yet
	out  []byte
}

func newWire() *wire { return &wire{in: make([]byte, bufferOctets), out: make([]byte, 0, 4<<10)} }

// reset readies the wire for another connection, or for the same one in TLS.
func (w *wire) reset(conn io.ReadWriter) {
	w.conn, w.r, w.w, w.out = conn, 0, 0, w.out[:0]
}

// say gathers a line or several for the other side.
func (w *wire) say(text string) { w.out = append(w.out, text...) }

// flush sends what was gathered.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// send sends what was gathered and then p. A little is gathered, too.
func (w *wire) send(p []byte) error {
	const little = 2 << 10
	if len(p) <= little {
		w.out = append(w.out, p...)
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	_, err := w.conn.Write(p)
	return err
}

// fill waits for more input. It needs room behind in[w.w].
func (w *wire) fill() error {
	if err := w.flush(); err != nil {
		return err
	}
	n, err := w.conn.Read(w.in[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// keep moves what lies from in[from] on to the beginning of the buffer.
func (w *wire) keep(from int) {
	w.w = copy(w.in, w.in[from:w.w])
	w.r -= from
}

// lineLimit is more than a line of either side has (RFC 5321 section 4.5.3.1.5: 512).
const lineLimit = 2 << 10

var errLongLine = errors.New("a line of more than 2 KiB")

// line returns the next line without its CRLF. It is lent until the next call of any
// method.
func (w *wire) line() ([]byte, error) {
	for searched := w.r; ; {
		if i := bytes.IndexByte(w.in[searched:w.w], '\n'); i >= 0 {
			end := searched + i
			line := w.in[w.r:end]
			w.r = end + 1
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, fmt.Errorf("a line that ends with LF alone: %q", line)
			}
			return line[:len(line)-1], nil
		}
		if w.w-w.r > lineLimit {
			return nil, errLongLine
		}
		if len(w.in)-w.w < lineLimit {
			w.keep(w.r)
		}
		searched = w.w
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

// idle says that nothing has come that was not used.
func (w *wire) idle() bool { return w.r == w.w }

// data reads mail data up to the line with a dot alone (RFC 5321 section 4.1.1.4), which must
// follow the line that was read last, and returns how many octets it had, the final line
// left out. Each part is shown to see, if there is one; it is lent for the call.
//
// Only at dots is looked for the end: they are rare, and the search for one octet is the
// fastest there is.
func (w *wire) data(see func([]byte)) (octets int, err error) {
	const before, after = 2, 2 // CRLF on both sides of the dot
	// The CRLF of the line before is still there, and counts as one before the dot.
	used, next := w.r, w.r
	use := func(to int) {
		if see != nil {
			see(w.in[used:to])
		}
		octets += to - used
		used = to
	}
	for {
		i := bytes.IndexByte(w.in[next:w.w], '.')
		dot := next + i
		switch {
		case i < 0:
			use(w.w)
			dot = w.w // where the next one can be at the soonest
		case dot+after >= w.w:
			use(dot)
		case string(w.in[dot-before:dot+after+1]) == "\r\n.\r\n":
			use(dot)
			w.r = dot + after + 1
			return octets, nil
		default:
			next = dot + 1
			continue
		}
		w.r = dot
		w.keep(dot - before)
		used, next = before, before
		if err := w.fill(); err != nil {
			return octets, err
		}
	}
}
