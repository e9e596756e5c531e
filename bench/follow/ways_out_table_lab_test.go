//go:build lab

package follow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// followed returns a connection that the kernel has from here on, to a server of its own.
func followed(t *testing.T) *link {
	t.Helper()
	return newGate(t, policy.Config{}).followed()
}

// spot is a point of a dialogue, and what may go on by itself there.
type spot struct {
	name    string
	before  []turn
	awaited turn
}

var (
	noop     = []turn{{true, "NOOP\r\n"}}
	data     = []turn{{true, "DATA\r\n"}}
	mailFrom = []turn{{true, "MAIL FROM:<a@b>\r\n"}}
	mail     = []turn{{true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"}, {false, "250 Ok\r\n250 Ok\r\n354 Go\r\n"}}
	inCR     = append(mail[:2:2], turn{true, "a\r"})
	atLine   = append(mail[:2:2], turn{true, "a\r\n"})
	ended    = append(mail[:2:2], turn{true, "a line\r\n.\r\n"})
	quit     = []turn{{true, "QUIT\r\n"}}
)

var spots = []spot{
	{"a command", nil, turn{true, "RSET\r\n"}},
	{"the reply to a command", noop, turn{false, "250 Ok\r\n"}},
	{"the reply to DATA", data, turn{false, "354 Go\r\n"}},
	{"the reply to MAIL", mailFrom, turn{false, "250 Ok\r\n"}},
	{"mail data", mail, turn{true, "a\r\n"}},
	{"mail data behind CR", inCR, turn{true, "\n"}},
	{"a line of mail data", atLine, turn{true, "..\r\n"}},
	{"the reply to mail data", ended, turn{false, "250 Ok\r\n"}},
	{"the reply to QUIT", quit, turn{false, "221 Bye\r\n"}},
}

// long is more than a line of a dialogue may have.
var long = strings.Repeat("a", 600)

// wrongWords are octets that are not plain at a point of a dialogue.
var wrongWords = []struct {
	before   []turn
	toServer bool
	octets   []string
}{
	{nil, true, []string{
		"NOOP", "NOOP\r", "NOOP\n", "NO\rOP\r\n", "NOOP\r\r\n", "NOOP x\r\n", "NOOP \r\n", "\r\n", "NO\x00P\r\n", "N\xd6OP\r\n", "NOOP\t\r\n",
		"NOOP\r\nRSE", "DATA\r\nNOOP\r\n", "QUIT\r\nNOOP\r\n", "MAIL FROM:<a@b>\r\nEHLO a.example\r\n", "MAIL FROM: <a@b>\r\n", "MAIL TO:<a@b>\r\n",
		"RCPT FROM:<a@b>\r\n", "MAIL FROM:<" + long + "@b>\r\n", "HELO a.example\r\n", "EHLO\r\n", "EHLO " + long + "\r\n", "VRFY a\r\n", "AUTH PLAIN AGEAYg==\r\n",
		"AUTH LOGIN\r\n", "BDAT 5 LAST\r\nabcde", "BDAT 0 LAST\r\n", "STARTTLS\r\n", "STARTTLS x\r\n", "STARTTLSX\r\n", "XCLIENT NAME=a\r\n", "TURN\r\n", "DATAX\r\n", "DATA \r\n",
		strings.Repeat("NOOP\r\n", 40), "\x16\x03\x01\x00\x05\x01\x00\x00\x01a",
	}},
	{nil, false, []string{"250 Ok\r\n", "421 Bye\r\n", "220 Go\r\n"}},
	{noop, true, []string{"NOOP\r\n"}},
	{noop, false, []string{"250", "250 Ok", "250 Ok\r", "250 Ok\n", "250-Ok\r\n", "250-Ok\r\n250 Ok\r\n", "251 Ok\r\n", "354 Go\r\n", "220 Go\r\n", "421 Bye\r\n", "500 No\r\n",
		"250 Ok\r\n250 Ok\r\n", "25\r\n", "250\r\n", "250 O\x00k\r\n", "250 \xd6k\r\n", "250 O\rk\r\n", "250 " + long + "\r\n", " 250 Ok\r\n", "250_Ok\r\n"}},
	{data, false, []string{"250 Ok\r\n", "554 No\r\n", "354-Go\r\n354 Go\r\n", "35"}},
	{mailFrom, false, []string{"354 Go\r\n", "550 No\r\n"}},
	{mail, false, []string{"250 Ok\r\n", "354 Go\r\n"}},
	{mail, true, []string{".", ".\r", ".\n", ".\r\nNOOP\r\n", ".x\r\n", "a\r\n.", "a\r\n.\r", "a\n.\r\n", "a\r.\r\n", "a\r\n.\n", "a\nb\r\n", "a\rb\r\n", "a\r\r\n",
		"a\r\n.\r\n.\r\n", "a\r\n.\r\nQUIT\r\n", ".\x00\r\n", "\x00", "\x00.\r\n"}},
	{inCR, true, []string{".\r\n", "b", "\r\n", "\n.", "\n.\n"}},
	{atLine, true, []string{".", ".\n", "\n"}},
	{ended, true, []string{"a", ".\r\n", "NOOP\r\n"}},
	{ended, false, []string{"354 Go\r\n", "554 No\r\n", "250-Ok\r\n250 Ok\r\n", "250 Ok\r\n250 Ok\r\n"}},
	{quit, false, []string{"250 Ok\r\n", "221-Bye\r\n221 Bye\r\n"}},
	{append(quit, turn{false, "221 Bye\r\n"}), true, []string{"NOOP\r\n", "a"}},
	{append(quit, turn{false, "221 Bye\r\n"}), false, []string{"250 Ok\r\n"}},
}

// oddSegments are what makes a segment of a command odd that would go on by itself.
var oddSegments = []struct {
	name, reason string
	change       func(l *link, s *packet.Segment)
}{
	{"urgent", "headers", func(_ *link, s *packet.Segment) { s.Flags |= packet.URG }},
	{"a reset", "headers", func(_ *link, s *packet.Segment) { s.Flags = packet.RST | packet.ACK }},
	{"a SYN", "headers", func(_ *link, s *packet.Segment) { s.Flags = packet.SYN }},
	{"no ACK", "headers", func(_ *link, s *packet.Segment) { s.Flags = packet.PSH }},
	{"no flag at all", "headers", func(_ *link, s *packet.Segment) { s.Flags = 0 }},
	{"behind a hole", "order", func(_ *link, s *packet.Segment) { s.Seq += 10 }},
	{"an overlap", "order", func(_ *link, s *packet.Segment) { s.Seq -= 3 }},
	{"a retransmission", "order", func(_ *link, s *packet.Segment) { s.Seq -= uint32(len(s.Payload)) }},
	{"ahead of the server", "order", func(_ *link, s *packet.Segment) { s.Ack += 100 }},
	{"behind a FIN", "order", func(l *link, s *packet.Segment) {
		f := *s
		f.Flags, f.Payload = f.Flags|packet.FIN, nil
		l.send(&f)
	}},
}

// waysOut returns all ways.
func waysOut() (list []way) {
	for _, c := range wrongWords {
		for _, octets := range c.octets {
			list = append(list, way{
				name: fmt.Sprintf("%.60q, to the server %v, behind %v", octets, c.toServer, c.before), reason: "words",
				before: c.before, last: func(l *link) bool { return l.put(c.toServer, octets) },
			})
		}
	}
	for _, c := range oddSegments {
		list = append(list, way{name: c.name, reason: c.reason, last: func(l *link) bool {
			s := l.segment(true, len(l.client.said), packet.ACK|packet.PSH, "NOOP\r\n")
			c.change(l, s)
			return l.send(s)
		}})
	}
	return append(list,
		way{name: "an option that is not looked at", reason: "headers", last: func(l *link) bool {
			return l.take(withTCPOptions(l.segment(true, len(l.client.said), packet.ACK, "NOOP\r\n"), 1, 1, 1, 1))
		}},
		way{name: "an IP option", reason: "headers", last: func(l *link) bool {
			return l.take(withIPOptions(l.segment(true, len(l.client.said), packet.ACK, "NOOP\r\n").Append(nil)))
		}},
		way{name: "a wrong checksum", reason: "checksum", last: func(l *link) bool {
			pkt := l.segment(true, len(l.client.said), packet.ACK|packet.PSH, "NOOP\r\n").Append(nil)
			pkt[len(pkt)-3] ^= 1
			return l.take(pkt)
		}},
		way{name: "a 220 from before STARTTLS", reason: "words", start: func(t *testing.T) *link {
			l := known(t).newLink()
			l.open()
			l.say(false, "220 mail.example.test ESMTP\r\n")
			l.say(true, "EHLO client.example.test\r\n")
			l.say(false, "250-mail.example.test\r\n250 STARTTLS\r\n")
			return l
		}, last: func(l *link) bool {
			early := l.segment(false, len(l.server.said), packet.ACK|packet.PSH, "220 Go\r\n")
			return l.put(true, "STARTTLS\r\n") && l.send(early)
		}},
		way{name: "more in flight than is kept", reason: "order", before: mail, last: func(l *link) bool {
			line := strings.Repeat("a", 898) + "\r\n"
			inFlight := 0
			for ; inFlight+len(line) <= window && l.put(true, line); inFlight += len(line) {
			}
			return inFlight == 0 || l.put(true, line)
		}},
		way{name: "a reload of the configuration", reason: "void", before: noop, last: func(l *link) bool {
			l.follower.Grant([]dataplane.Grant{{Kind: dataplane.GrantNothing}})
			return l.put(false, "250 Ok\r\n")
		}},
		way{name: "a grant from before a reload", reason: "owned", start: func(t *testing.T) *link {
			l := newGate(t, policy.Config{}).newLink()
			l.open()
			l.say(false, "220 mail.example.test ESMTP\r\n")
			l.say(true, "EHLO client.example.test\r\n")
			l.put(false, "250 mail.example.test\r\n") // the acknowledgement would take it up
			l.wake()
			return l
		}, last: func(l *link) bool {
			l.follower.Grant([]dataplane.Grant{{Kind: dataplane.GrantNothing}})
			return l.put(true, "NOOP\r\n")
		}},
		way{name: "a connection that began unseen", reason: "unknown", start: opened, last: func(l *link) bool {
			l.client.addr = l.newLink().client.addr
			return l.put(true, "NOOP\r\n")
		}},
		way{name: "the SYN to a server that nobody knows", reason: "owned", start: fresh, last: func(l *link) bool {
			return l.take(l.syn(true, synOptions))
		}},
		way{name: "the greeting of a server that nobody knows", reason: "owned", start: opened, last: func(l *link) bool {
			return l.put(false, "220 mail.example.test ESMTP\r\n")
		}},
		way{name: "behind one that comes up", reason: "owned", start: func(t *testing.T) *link {
			l := followed(t)
			if l.put(true, "VRFY a\r\n") {
				t.Fatal("VRFY has passed")
			}
			return l
		}, last: func(l *link) bool { return l.put(true, "NOOP\r\n") }},
		way{name: "a full log", reason: "log_full", start: func(t *testing.T) *link {
			l := followed(t)
			fillLog(l.gate)
			return l
		}, last: func(l *link) bool { return l.put(true, "NOOP\r\n") }},
		way{name: "the beginning of a connection, and a full log", reason: "busy", start: func(t *testing.T) *link {
			g := known(t)
			fillLog(g)
			l := g.newLink()
			l.stamps = true
			if !l.take(l.syn(true, synOptions)) || !l.take(l.syn(false, synOptions)) {
				t.Fatal("a SYN came up")
			}
			return l
		}, last: func(l *link) bool { return l.acknowledge(true) }},
	)
}

// fresh returns a connection that is not open.
func fresh(t *testing.T) *link {
	t.Helper()
	return newGate(t, policy.Config{}).newLink()
}

// opened returns a connection on which nothing was said.
func opened(t *testing.T) *link {
	t.Helper()
	l := fresh(t)
	l.open()
	return l
}

// withTCPOptions returns a segment with options, and no timestamps.
func withTCPOptions(s *packet.Segment, options ...byte) []byte {
	s.HasTimestamp = false
	s.Payload = append(options, s.Payload...)
	pkt := s.Append(nil)
	pkt[20+12] = byte((20 + len(options)) / 4 << 4)
	return rechecked(pkt)
}

// fillLog has so much go on by itself, unread, that the log has no room for anything else.
func fillLog(g *gate) {
	busy := g.followed()
	busy.sayEnvelope()
	line := strings.Repeat("a", 1200) + "\r\n"
	for range logSize/len(line) + 1 {
		if !busy.put(true, line) {
			break
		}
		busy.acknowledge(false)
	}
	for range logSize / 64 { // what goes by beside is logged too
		if !busy.acknowledge(false) {
			break
		}
	}
}

// It takes too long to be one of the ways.
func TestNothingPassesThatNobodyWouldRead(t *testing.T) {
	l := followed(t)
	if !l.say(true, "NOOP\r\n") {
		t.Fatal("nothing is followed")
	}
	was := reasons(t)
	time.Sleep(2200 * time.Millisecond) // longer than a reader counts as alive
	if l.put(false, "250 Ok\r\n") {
		t.Error("a packet has passed")
	}
	if n := reasons(t)["void"] - was["void"]; n != 1 {
		t.Errorf("%d packets came up for want of a reader", n)
	}
	l.wantNoDifference()
	l.wantOneTruth()
}
