package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"keepword/bench/traffic"
	"keepword/inspect/packet"
)

// end is an SMTP role.
type end uint8

const (
	client end = iota
	server
)

const (
	serverPort = 25
	// scale and window let an end have 64,256 octets in flight, as Linux begins.
	scale, window = 7, 502
	// leastMail and mostMail bound a message's length in octets. Between them the
	// logarithm is even: most are small.
	leastMail, mostMail = 1 << 10, 200 << 10
	// stockLen is how much mail there is to cut messages out of.
	stockLen = 1 << 20
)

// segment is one TCP segment of a session that is still to be sent.
type segment struct {
	from     end
	flags    packet.Flags
	seq, ack uint32
	text     []byte
}

// session is a TCP connection from SYN to the last acknowledgement of a FIN.
type session struct {
	number   int // its ends follow from it
	segments []segment
	next     [2]uint32 // SND.NXT of client and server
	clock    [2]uint32 // the TSval that each sent last (RFC 7323 section 3), 0 before the first
}

// author writes sessions.
type author struct {
	*rand.Rand
	hellos []traffic.Hello
	// text and base64 are mail, secret is what goes on in TLS.
	text, base64, secret []byte
	sessions, secured    int // written so far, and those of them that leave for TLS
}

func newAuthor() (*author, error) {
	a := &author{
		Rand: traffic.Chance(7),
		text: traffic.TextMail(stockLen), base64: traffic.Base64Mail(stockLen), secret: traffic.Protected(stockLen),
	}
	classic, err := traffic.Shake(traffic.OpenSSL...)
	if err != nil {
		return nil, err
	}
	modern, err := traffic.Shake()
	a.hellos = []traffic.Hello{classic, modern}
	return a, err
}

// one says yes once in n times.
func (a *author) one(n int) bool { return a.IntN(n) == 0 }

// session writes the next session: three of ten leave for TLS, the others deliver up to
// three messages in clear text.
func (a *author) session() *session {
	s := &session{number: a.sessions, next: [2]uint32{a.Uint32(), a.Uint32()}}
	a.sessions++
	s.send(client, packet.SYN, nil)
	s.send(server, packet.SYN|packet.ACK, nil)
	s.acknowledge(client)
	s.say(server, fmt.Sprintf("220 mx%d.example.org ESMTP Postfix (Debian/GNU)\r\n", s.number%servers))
	s.acknowledge(client)
	s.say(client, fmt.Sprintf("EHLO out-%d.mail.example.com\r\n", a.IntN(1000)))
	s.acknowledge(server)
	s.say(server, fmt.Sprintf("250-mx%d.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"+
		"250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n", s.number%servers))
	if a.IntN(10) < 3 {
		a.secured++
		a.upgrade(s)
	} else {
		for range 1 + a.IntN(3) {
			a.deliver(s)
		}
		s.say(client, "QUIT\r\n")
		s.say(server, "221 2.0.0 Bye\r\n")
	}
	s.send(client, packet.FIN|packet.ACK, nil)
	s.send(server, packet.FIN|packet.ACK, nil)
	s.acknowledge(client)
	s.segments = a.disturb(s.segments)
	return s
}

// deliver sends one message in clear text.
func (a *author) deliver(s *session) {
	n := a.mailLen()
	s.say(client, fmt.Sprintf("MAIL FROM:<bounce-%d@example.com> SIZE=%d\r\nRCPT TO:<user%d@example.org>\r\nDATA\r\n", a.IntN(1e6), n, a.IntN(1e4)))
	s.say(server, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n")
	mail := fmt.Appendf(nil, "From: <sender@example.com>\r\nTo: <user@example.org>\r\nSubject: number %d\r\nMessage-ID: <%x@example.com>\r\n\r\n", s.number, a.Uint64())
	if n > 8<<10 && a.one(2) { // a short text with an attachment
		mail = append(mail, a.cut(a.text, 2<<10)...)
		mail = append(mail, a.cut(a.base64, n-len(mail))...)
	} else {
		mail = append(mail, a.cut(a.text, n-len(mail))...)
	}
	s.flight(client, append(mail, ".\r\n"...))
	s.say(server, fmt.Sprintf("250 2.0.0 Ok: queued as %X\r\n", a.Uint32()))
}

// mailLen draws a message's length.
func (a *author) mailLen() int {
	return int(leastMail * math.Pow(float64(mostMail)/leastMail, a.Float64()))
}

// cut returns about n octets of whole lines from anywhere in a stock.
func (a *author) cut(stock []byte, n int) []byte {
	stock = stock[a.IntN(len(stock)-mostMail-traffic.MSS):]
	stock = stock[bytes.Index(stock, []byte("\r\n"))+2:]
	return stock[:max(bytes.LastIndex(stock[:max(n, 0)], []byte("\r\n"))+2, 0)]
}

// upgrade leaves for TLS 1.3 and delivers a message there: what follows the hellos is
// records of the lengths that such a session has.
func (a *author) upgrade(s *session) {
	h := a.hellos[a.IntN(len(a.hellos))]
	s.say(client, "STARTTLS\r\n")
	s.say(server, "220 2.0.0 Ready to start TLS\r\n")
	s.flight(client, h.Client)
	s.flight(server, h.Server)
	for _, part := range []struct {
		from   end
		octets int
	}{
		{client, 74}, {server, 350}, // Finished, and EHLO; the reply
		{client, 120}, {server, 100}, // MAIL, RCPT, DATA; their replies
		{client, a.mailLen()}, {server, 60}, {client, 28}, {server, 40}, // the message, QUIT
	} {
		s.flight(part.from, a.records(part.octets))
	}
}

// records returns TLS records with n octets in them.
func (a *author) records(n int) (b []byte) {
	const header, most = 5, 1 << 14
	for n > 0 {
		size := min(n, most)
		b = append(b, 23, 3, 3) // application data, RFC 8446 section 5.2
		b = binary.BigEndian.AppendUint16(b, uint16(size))
		at := a.IntN(len(a.secret) - most)
		b = append(b, a.secret[at:at+size]...)
		n -= size
	}
	return b
}

// disturbed is how many of a thousand segments with octets are sent twice, and how many
// are overtaken by the next of their flight.
const disturbed = 5

// disturb has some segments retransmitted and some arrive out of order.
func (a *author) disturb(list []segment) (disturbedList []segment) {
	for i := range list {
		s := &list[i]
		if i+1 < len(list) && len(s.text) > 0 && list[i+1].from == s.from && len(list[i+1].text) > 0 && a.IntN(1000) < disturbed {
			*s, list[i+1] = list[i+1], *s
		}
		disturbedList = append(disturbedList, *s)
		if len(s.text) > 0 && a.IntN(1000) < disturbed {
			disturbedList = append(disturbedList, *s)
		}
	}
	return disturbedList
}

func (s *session) send(from end, flags packet.Flags, text []byte) {
	s.segments = append(s.segments, segment{from, flags, s.next[from], s.next[1-from], text})
	s.next[from] += uint32(len(text))
	if flags&(packet.SYN|packet.FIN) != 0 {
		s.next[from]++
	}
}

func (s *session) acknowledge(from end) { s.send(from, packet.ACK, nil) }

func (s *session) say(from end, text string) { s.send(from, packet.ACK|packet.PSH, []byte(text)) }

// flight sends octets in segments, every second of them acknowledged, and the last.
func (s *session) flight(from end, octets []byte) {
	for n := 1; len(octets) > 0; n++ {
		size := min(s.mss(), len(octets))
		s.send(from, packet.ACK, octets[:size])
		if octets = octets[size:]; n%2 == 0 || len(octets) == 0 {
			s.acknowledge(1 - from)
		}
	}
}
