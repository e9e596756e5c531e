package load

import (
	"bytes"
	"crypto/sha256"
)

const (
	// lineOctets is the length of a line of mail data: 76 octets, as base64 has them (RFC
	// 2045 section 6.8), and CRLF.
	lineOctets = 78
	// chunkLines is how many lines are sent by one call. They are used again and again:
	// a quarter of a MiB stays in the processor's cache.
	chunkLines = 3328
)

// Message is mail data, ready to be sent: dots at the beginning of lines are doubled (RFC
// 5321 section 4.5.2). It is not altered and may be sent by many sessions at once.
type Message struct {
	octets int
	head   []byte
	parts  int    // how often lines are sent whole
	rest   []byte // as many of them as are left
	tail   []byte // a line of the length that is missing
	// id, where stamped, stands in a line before each part and before the rest.
	id      ID
	stamped bool
}

// NewMessage makes a message that has that many octets on its way, at least two lines of
// them.
func NewMessage(octets int) *Message {
	m := &Message{octets: octets}
	m.fill(octets, len(lines))
	return m
}

// NewStampedMessage makes a message like no other: its first line is its Stamp, and its
// id stands all over the rest, with numbers, so that no part of it can change places with
// any other part of any message unseen. It has at least four lines.
func NewStampedMessage(id ID, octets int) *Message {
	m := &Message{octets: octets, id: id, stamped: true}
	// Each part has a line more, and so has the rest.
	m.fill(octets-stampOctets-lineOctets, len(lines)+lineOctets)
	sum := sha256.New()
	_ = m.each(func(p []byte) error {
		sum.Write(p)
		return nil
	})
	m.head = Stamp{ID: id, Sum: [sha256.Size]byte(sum.Sum(nil))}.line()
	return m
}

// fill makes of so many octets parts, which take part octets each, and the rest.
func (m *Message) fill(octets, part int) {
	m.parts = octets / part
	left := octets % part
	short := left % lineOctets
	if short == 1 { // no line is that short
		short += lineOctets
		if short > left && m.parts > 0 {
			m.parts--
			left += part
		}
	}
	if short > 0 {
		m.tail = append(bytes.Repeat([]byte{'x'}, short-2), "\r\n"...)
	}
	m.rest = lines[:left-short]
}

// lines are the lines that all messages consist of. One in eight is prose, with dots
// in it; one in 64 begins with a dot. The rest has no dot, like most mail data.
var lines = func() []byte {
	const (
		base64 = "TWFpbCBkYXRhIGlzIG1vc3RseSBlbmNvZGVkLCBhbmQgd2hhdCBpcyBlbmNvZGVkIGhhcyBubyBk\r\n"
		prose  = "It was sent on Monday. It came on Monday. Nobody has read it. Who would, now?\r\n"
		dotted = "..begins with a dot, which was doubled on its way, as RFC 5321 section 4.5.2.\r\n"
	)
	const proseEach, dottedEach = 8, 64
	var b bytes.Buffer
	for i := range chunkLines {
		switch {
		case i%dottedEach == dottedEach-1:
			b.WriteString(dotted[:lineOctets-2] + "\r\n")
		case i%proseEach == proseEach-1:
			b.WriteString(prose[:lineOctets-2] + "\r\n")
		default:
			b.WriteString(base64[:lineOctets-2] + "\r\n")
		}
	}
	return b.Bytes()
}()

// each calls send with the message's octets, part by part, until it fails.
func (m *Message) each(send func([]byte) error) error {
	if err := send(m.head); err != nil {
		return err
	}
	for i := range m.parts + 1 {
		part := lines
		if i == m.parts {
			part = m.rest
		}
		if m.stamped {
			if err := send(partLine(m.id, i)); err != nil {
				return err
			}
		}
		if err := send(part); err != nil {
			return err
		}
	}
	return send(m.tail)
}
