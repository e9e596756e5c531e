package pcap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// maxRecord is the longest packet that a file may hold: the greatest snapshot length
// of tcpdump and Wireshark.
const maxRecord = 256 << 10

// maxWindow is the most memory that a zstd frame may ask for, the window of its
// highest level.
const maxWindow = 128 << 20

const (
	// inputLen are the octets that are read at once of what may be compressed.
	inputLen = 64 << 10
	// bufferLen are the octets of the plain file that lie ready: the longest block.
	bufferLen = maxBlock + trailerLen
)

// record is a packet as it lies in a file.
type record struct {
	time  int64 // nanoseconds of the Unix epoch
	timed bool  // false where the file has no time for it
	link  uint16
	data  []byte // lent until the next call of next
}

// source gives the records of a file in order, and io.EOF at a proper end. At an end
// elsewhere it gives io.ErrUnexpectedEOF.
type source interface {
	next(*record) error
}

// damage says what is wrong with a file.
type damage string

// Error returns the damage.
func (d damage) Error() string { return string(d) }

// unpacked gives what a decompressor makes of a file, and calls its complaints damage.
type unpacked struct{ r io.Reader }

// Read is io.Reader's, with complaints turned into damage.
func (u unpacked) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	return n, complaint(err)
}

// complaint is a decompressor's error as ours.
func complaint(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return damage("the compressed data can't be read: " + err.Error())
}

// interruptible stops reading when its context is done, however much a decompressor
// makes of little.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read is io.Reader's, and returns the context's error once that is done.
func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// live reads what comes while it is read.
type live struct {
	ctx    context.Context
	r      io.Reader
	before func() // called before each read
	buf    []byte // the octets of a read, which may outlast a Read
}

// Read is io.Reader's. When the context is done it returns that one's error, whether r has
// anything or not, and must not be called again.
func (l *live) Read(b []byte) (int, error) {
	l.before()
	if len(l.buf) < len(b) {
		l.buf = make([]byte, len(b))
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := l.r.Read(l.buf[:len(b)])
		done <- result{n, err}
	}()
	select {
	case <-l.ctx.Done():
		return 0, l.ctx.Err()
	case r := <-done:
		return copy(b, l.buf[:r.n]), r.err
	}
}

// open finds out the format. The function that it returns frees the decompressor.
func open(ctx context.Context, r io.Reader) (source, func(), error) {
	buffered := bufio.NewReaderSize(r, inputLen)
	plain, closeInput := io.Reader(buffered), func() {}
	head, err := peek(buffered)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952 section 2.3.1
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, nil, complaint(unexpected(err))
		}
		plain = unpacked{z}
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878 section 3.1.1
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		closeInput = z.Close
		plain = unpacked{z}
	}
	src, err := newSource(bufio.NewReaderSize(interruptible{ctx, plain}, bufferLen))
	if err != nil {
		closeInput()
		return nil, nil, err
	}
	return src, closeInput, nil
}

// peek returns the first octets of a file, four where it has as many.
func peek(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head, nil
}

// newSource looks at a plain file's magic number.
func newSource(r *bufio.Reader) (source, error) {
	head, err := peek(r)
	if err != nil {
		return nil, err
	}
	switch {
	case len(head) == 0:
		return nil, fmt.Errorf("empty, %w", ErrNotCapture)
	case len(head) < 4:
		return nil, ErrNotCapture
	case binary.LittleEndian.Uint32(head) == blockSection: // reads the same both ways
		return newNG(r)
	case isClassic(binary.LittleEndian.Uint32(head)):
		return newClassic(r, binary.LittleEndian)
	case isClassic(binary.BigEndian.Uint32(head)):
		return newClassic(r, binary.BigEndian)
	}
	return nil, ErrNotCapture
}

// takeOrEnd returns the next n octets, at most bufferLen, or io.EOF at the file's end.
// They are r's own, until it is read again.
func takeOrEnd(r *bufio.Reader, n uint32) ([]byte, error) {
	b, err := r.Peek(int(n))
	if err != nil {
		if len(b) > 0 {
			err = unexpected(err)
		}
		return nil, err
	}
	_, err = r.Discard(len(b))
	return b, err
}

// take is takeOrEnd where the file must not end.
func take(r *bufio.Reader, n uint32) ([]byte, error) {
	b, err := takeOrEnd(r, n)
	return b, unexpected(err)
}

// unexpected is err at a place where a file must not end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nanoseconds converts a time of that many units a second, and an offset in seconds,
// to nanoseconds. What lies before the epoch becomes 0, and what int64 can't hold its
// greatest value.
func nanoseconds(units, perSecond uint64, offset int64) int64 {
	const (
		second = 1_000_000_000
		limit  = math.MaxInt64/second - 1
	)
	hi, lo := bits.Mul64(units%perSecond, second)
	fraction, _ := bits.Div64(hi, lo, perSecond)
	seconds := int64(min(units/perSecond, limit)) + min(offset, limit)
	if seconds < 0 {
		return 0
	}
	if seconds >= limit {
		return math.MaxInt64
	}
	return seconds*second + int64(fraction)
}
