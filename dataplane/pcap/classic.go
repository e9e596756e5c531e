package pcap

import (
	"bufio"
	"encoding/binary"
	"fmt"
)

// Magic numbers of pcap, draft-ietf-opsawg-pcap section 4.
const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
)

func isClassic(magic uint32) bool {
	return magic == magicMicroseconds || magic == magicNanoseconds
}

// classic reads a pcap file.
type classic struct {
	r         *bufio.Reader
	order     binary.ByteOrder
	perSecond uint64
	link      uint16
}

func newClassic(r *bufio.Reader, order binary.ByteOrder) (*classic, error) {
	header, err := take(r, 24)
	if err != nil {
		return nil, err
	}
	if major := order.Uint16(header[4:]); major != 2 {
		return nil, damage(fmt.Sprintf("pcap version %d is unknown", major))
	}
	c := &classic{r: r, order: order, perSecond: 1_000_000}
	if order.Uint32(header) == magicNanoseconds {
		c.perSecond = 1_000_000_000
	}
	c.link = uint16(order.Uint32(header[20:])) // the upper half says how long frame check sequences are
	return c, nil
}

func (c *classic) next(rec *record) error {
	header, err := takeOrEnd(c.r, 16)
	if err != nil {
		return err // io.EOF between two records is the file's end
	}
	seconds, fraction := uint64(c.order.Uint32(header)), uint64(c.order.Uint32(header[4:]))
	n := c.order.Uint32(header[8:])
	if n > maxRecord {
		return damage(fmt.Sprintf("the next packet claims to have %d octets", n))
	}
	data, err := take(c.r, n)
	if err != nil {
		return err
	}
	*rec = record{
		time:  nanoseconds(seconds*c.perSecond+fraction, c.perSecond, 0),
		timed: true,
		link:  c.link,
		data:  data,
	}
	return nil
}
