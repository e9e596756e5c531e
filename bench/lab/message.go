package lab

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Message is one mail to be sent.
type Message struct {
	From, To string
	// ID is its Message-ID, by which it is found again.
	ID string
	// Text is the message in Internet Message Format (RFC 5322), with lines that
	// end in CRLF, before dot-stuffing.
	Text []byte
}

// messages counts the messages of this process, so that no two have the same ID.
var messages atomic.Uint64

// NewMessage returns a message to an address of Domain with a body of about size
// octets: lines of many lengths, some empty, some that begin with dots (RFC 5321
// section 4.5.2) and some that look like SMTP commands.
func NewMessage(size int) *Message {
	n := messages.Add(1)
	m := &Message{
		From: "alice@example.net",
		To:   "bob@" + Domain,
		ID:   fmt.Sprintf("<%d.%d@client.example.net>", time.Now().UnixNano(), n),
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\nSubject: %d octets\r\nDate: %s\r\nMessage-ID: %s\r\n\r\n",
		m.From, m.To, size, time.Now().Format(time.RFC1123Z), m.ID)
	special := []string{"", ".", "..", ". dot", "STARTTLS", "QUIT", "MAIL FROM:<eve@example.net>", "250 OK"}
	// RFC 5322 section 2.1.1 wants at most 998; a dot may be added on the way.
	const longest = 900
	random := rand.New(rand.NewPCG(n, uint64(size)))
	for end := b.Len() + size; b.Len() < end; {
		if random.IntN(8) == 0 {
			b.WriteString(special[random.IntN(len(special))])
		} else {
			for range random.IntN(longest) {
				b.WriteByte(byte('!' + random.IntN('~'-'!'+1)))
			}
		}
		b.WriteString("\r\n")
	}
	// The last line is not empty: some clients trim those.
	b.WriteString("End of the message.\r\n")
	m.Text = b.Bytes()
	return m
}

// lines returns the text with the line ends of a maildir.
func (m *Message) lines() []byte {
	return bytes.ReplaceAll(m.Text, []byte("\r\n"), []byte("\n"))
}

// stuffed returns the text as it goes over the wire before the final dot: a line
// that begins with a dot gets another (RFC 5321 section 4.5.2).
func (m *Message) stuffed() []byte {
	return bytes.ReplaceAll(m.Text, []byte("\r\n."), []byte("\r\n.."))
}
