package pcap

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Block types and options of pcapng, draft-ietf-opsawg-pcapng sections 4 and 11.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6

	byteOrderMagic = 0x1a2b3c4d

	optionEnd              = 0
	optionTimeResolution   = 9
	optionTimeOffset       = 14
	microsecondsResolution = 6
)

const (
	// maxBlock is the longest block that is read whole: a packet with its options.
	maxBlock = maxRecord + 64<<10
	// trailerLen is the length that stands behind each block again.
	trailerLen = 4
	// maxInterfaces is the most interfaces of a section.
	maxInterfaces = 4096
)

// ng reads a pcapng file.
type ng struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	interfaces []ngInterface
}

// ngInterface is what an interface description says about its packets.
type ngInterface struct {
	link      uint16
	snapLen   uint32 // 0: none
	perSecond uint64 // units of time
	offset    int64  // seconds
}

func newNG(r *bufio.Reader) (*ng, error) {
	n := &ng{r: r}
	kind, length, err := n.header()
	if err != nil {
		return nil, unexpected(err)
	}
	if _, err := n.body(kind, length); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *ng) next(rec *record) error {
	for {
		kind, length, err := n.header()
		if err != nil {
			return err // io.EOF between two blocks is the file's end
		}
		body, err := n.body(kind, length)
		if err != nil {
			return err
		}
		switch kind {
		case blockInterface:
			err = n.addInterface(body)
		case blockEnhanced, blockPacket:
			return n.packet(kind, body, rec)
		case blockSimple:
			return n.simple(body, rec)
		}
		if err != nil {
			return err
		}
	}
}

// header reads a block's type and the length of the rest of it, without the trailing
// length. A section header also sets the byte order.
func (n *ng) header() (kind, length uint32, err error) {
	h, err := takeOrEnd(n.r, 8)
	if err != nil {
		return 0, 0, err
	}
	if binary.LittleEndian.Uint32(h) == blockSection {
		h = bytes.Clone(h) // looking ahead takes it back
		magic, err := n.r.Peek(4)
		if err != nil {
			return 0, 0, unexpected(err)
		}
		switch {
		case binary.LittleEndian.Uint32(magic) == byteOrderMagic:
			n.order = binary.LittleEndian
		case binary.BigEndian.Uint32(magic) == byteOrderMagic:
			n.order = binary.BigEndian
		default:
			return 0, 0, damage("a section header without its byte-order magic")
		}
	}
	kind, length = n.order.Uint32(h), n.order.Uint32(h[4:])
	if length < 12 || length%4 != 0 {
		return 0, 0, damage(fmt.Sprintf("a block claims to have %d octets", length))
	}
	return kind, length - 12, nil
}

// body reads or skips a block's body, and its trailing length. It returns the bodies
// of the blocks that matter; they live until the next call.
func (n *ng) body(kind, length uint32) ([]byte, error) {
	kept := uint32(0)
	switch kind {
	case blockSection, blockInterface, blockPacket, blockSimple, blockEnhanced:
		if length > maxBlock {
			return nil, damage(fmt.Sprintf("a block of type %d claims to have %d octets", kind, length))
		}
		kept = length
	default:
		if _, err := io.CopyN(io.Discard, n.r, int64(length)); err != nil {
			return nil, unexpected(err)
		}
	}
	b, err := take(n.r, kept+trailerLen)
	if err != nil {
		return nil, err
	}
	body, trailer := b[:kept], b[kept:]
	if again := n.order.Uint32(trailer); again != length+12 {
		return nil, damage(fmt.Sprintf("a block of %d octets ends as one of %d", length+12, again))
	}
	if kind == blockSection {
		return nil, n.section(body)
	}
	return body, nil
}

// section begins a section: interfaces are numbered afresh.
func (n *ng) section(body []byte) error {
	if len(body) < 16 {
		return damage("a section header is too short")
	}
	if major := n.order.Uint16(body[4:]); major != 1 {
		return damage(fmt.Sprintf("pcapng version %d is unknown", major))
	}
	n.interfaces = n.interfaces[:0]
	return nil
}

func (n *ng) addInterface(body []byte) error {
	if len(body) < 8 {
		return damage("an interface description is too short")
	}
	if len(n.interfaces) == maxInterfaces {
		return damage(fmt.Sprintf("a section with more than %d interfaces", maxInterfaces))
	}
	i := ngInterface{link: n.order.Uint16(body), snapLen: n.order.Uint32(body[4:])}
	resolution := uint8(microsecondsResolution)
	for options := body[8:]; len(options) >= 4; {
		kind, length := n.order.Uint16(options), int(n.order.Uint16(options[2:]))
		options = options[4:]
		if kind == optionEnd {
			break
		}
		padded := (length + 3) &^ 3
		if padded > len(options) {
			return damage("an option is longer than its block")
		}
		switch {
		case kind == optionTimeResolution && length >= 1:
			resolution = options[0]
		case kind == optionTimeOffset && length >= 8:
			i.offset = int64(n.order.Uint64(options))
		}
		options = options[padded:]
	}
	var ok bool
	if i.perSecond, ok = unitsPerSecond(resolution); !ok {
		return damage(fmt.Sprintf("an interface's time resolution 0x%02x is out of range", resolution))
	}
	n.interfaces = append(n.interfaces, i)
	return nil
}

// unitsPerSecond reads if_tsresol: a negative power of 2 where the first bit is set,
// otherwise of 10.
func unitsPerSecond(resolution uint8) (uint64, bool) {
	const powerOfTwo = 0x80
	if exponent := resolution &^ powerOfTwo; resolution&powerOfTwo != 0 {
		return 1 << (exponent & 63), exponent < 64
	}
	units := uint64(1)
	for range resolution {
		if units > math.MaxUint64/10 {
			return 0, false
		}
		units *= 10
	}
	return units, true
}

// packet reads an enhanced packet block, or the packet block that it replaced.
func (n *ng) packet(kind uint32, body []byte, rec *record) error {
	const fixed = 20
	if len(body) < fixed {
		return damage("a packet block is too short")
	}
	index := n.order.Uint32(body)
	if kind == blockPacket {
		index = uint32(n.order.Uint16(body))
	}
	captured := n.order.Uint32(body[12:])
	if uint64(index) >= uint64(len(n.interfaces)) {
		return damage(fmt.Sprintf("a packet came in by interface %d of %d", index, len(n.interfaces)))
	}
	if captured > maxRecord || int(captured) > len(body)-fixed {
		return damage(fmt.Sprintf("the next packet claims to have %d octets", captured))
	}
	i := &n.interfaces[index]
	units := uint64(n.order.Uint32(body[4:]))<<32 | uint64(n.order.Uint32(body[8:]))
	*rec = record{
		time:  nanoseconds(units, i.perSecond, i.offset),
		timed: true,
		link:  i.link,
		data:  body[fixed : fixed+captured],
	}
	return nil
}

// simple reads a simple packet block, which has neither time nor interface, and whose
// captured length is not written down.
func (n *ng) simple(body []byte, rec *record) error {
	if len(body) < 4 {
		return damage("a packet block is too short")
	}
	if len(n.interfaces) == 0 {
		return damage("a packet came in by interface 0 of 0")
	}
	i := &n.interfaces[0]
	length := min(int64(n.order.Uint32(body)), int64(len(body)-4), maxRecord)
	if i.snapLen != 0 {
		length = min(length, int64(i.snapLen))
	}
	*rec = record{link: i.link, data: body[4 : 4+length]}
	return nil
}
