//go:build lab

package follow

import (
	"net/netip"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// known returns a gate whose server's dialogues are followed from their greeting on.
func known(t *testing.T) *gate {
	g := newGate(t, policy.Config{})
	l := g.followed()
	if !l.say(true, "QUIT\r\n") || !l.say(false, "221 Bye\r\n") {
		t.Fatal("the kernel follows nothing")
	}
	g.wake()
	return g
}

// What inspection makes of a packet it makes in place, and the log can't be written to.
func TestAPacketThatPassedBesideTheEndOfItsConnectionIsLeftAsItIs(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.followed()
	l.say(true, "NOOP\r\n") // so that the window scales are known
	l.say(false, "250 Ok\r\n")
	if l.put(true, "STARTTLS\r\nQUIT\r\n") {
		t.Fatal("commands behind STARTTLS have passed")
	}
	passed := false
	g.Meanwhile = func() {
		s := l.segment(false, len(l.server.said), packet.ACK, "")
		s.Ack = l.client.first + uint32(len(l.client.said))
		passed = l.send(s)
	}
	g.wake()
	g.Meanwhile = nil
	if !passed {
		t.Error("no acknowledgement has passed, and so nothing is shown")
	}
	g.wantNoDifference()
}

func TestASYNThatIsRepeatedWithDataOrOtherOptionsComesUp(t *testing.T) {
	g := known(t)
	l := g.newLink()
	for range 2 {
		if !l.take(l.syn(true, synOptions)) {
			t.Fatal("a SYN came up")
		}
	}
	c, _ := counts(t)
	with := func(change func(*packet.Segment)) []byte {
		s := l.segment(true, -1, packet.SYN, "")
		s.HasTimestamp, s.Ack = false, 0
		change(s)
		return s.Append(nil)
	}
	for name, pkt := range map[string][]byte{
		"data":          with(func(s *packet.Segment) { s.Payload = []byte("EHLO early.example.test\r\n") }),
		"no options":    with(func(*packet.Segment) {}),
		"Fast Open":     l.syn(true, []byte{34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}),
		"another scale": l.syn(true, []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 9}),
	} {
		l := g.newLink()
		v := mustParse(t, pkt)
		v.Bytes()[20], v.Bytes()[21] = byte(l.client.addr.Port()>>8), byte(l.client.addr.Port())
		copy(v.Bytes()[12:16], l.client.addr.Addr().AsSlice())
		if !l.take(l.syn(true, synOptions)) {
			t.Fatal("a SYN came up")
		}
		if l.take(rechecked(v.Bytes())) {
			t.Errorf("a SYN that is repeated with %s has passed", name)
		}
	}
	g.wantNoDifference()
	if d, _ := counts(t); d.Followed != c.Followed {
		t.Errorf("%d packets were logged as followed", d.Followed-c.Followed)
	}
}

func mustParse(t *testing.T, pkt []byte) *packet.View {
	t.Helper()
	v := new(packet.View)
	if packet.Parse(pkt, v) != packet.OK {
		t.Fatalf("%x is no packet", pkt)
	}
	return v
}

// RFC 7323 section 2.2: where one end's SYN has no scale, none is scaled.
func TestTheWindowOfAnEndWhoseScaleIsNotTakenUpStays(t *testing.T) {
	for name, g := range map[string]*gate{"followed from the greeting on": known(t), "granted": newGate(t, policy.Config{})} {
		l := g.newLink()
		l.window = 60000
		l.take(l.syn(true, synOptions))
		l.flush()
		l.take(l.syn(false, []byte{2, 4, 5, 180}))
		l.flush()
		l.acknowledge(true)
		l.flush()
		l.greet()
		if !l.say(true, "NOOP\r\n") {
			t.Errorf("%s: a command came up", name)
		}
		if l.server.clamped != l.window {
			t.Errorf("%s: a window of %d became %d", name, l.window, l.server.clamped)
		}
		g.wantNoDifference()
	}
}

func TestAWindowBeyondWhatIsKeptIsLowered(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.followed()
	if !l.say(true, "NOOP\r\n") {
		t.Fatal("a command came up")
	}
	if want := uint16(window >> 7); l.server.clamped != want {
		t.Errorf("a window of %d became %d, want %d", l.window, l.server.clamped, want)
	}
	g.wantNoDifference()
}

// The client's port may be one that is inspected: only its SYN tells who it is.
func TestAConnectionBetweenTwoInspectedPortsComesUp(t *testing.T) {
	g := known(t)
	l := g.newLinkFrom(netip.MustParseAddrPort("192.0.2.77:587"))
	if l.open() != [3]bool{} {
		t.Error("a packet has passed")
	}
	l.greet()
	if l.say(true, "NOOP\r\n") || l.say(false, "250 Ok\r\n") {
		t.Error("a packet has passed")
	}
	g.wantNoDifference()
	l.wantOneTruth()
}

// A server that drops NULs takes the dot for the end of mail data.
func TestANULInMailDataComesUp(t *testing.T) {
	for _, text := range []string{"a line\r\n\x00.\r\nMAIL FROM:<c@example.test>\r\n", "\x00.\r\n", "a\x00b\r\n", "a line of text\x00\r\n", "\x00"} {
		g := newGate(t, policy.Config{})
		l := g.followed()
		l.sayEnvelope()
		if l.say(true, text) {
			t.Errorf("%q has passed", text)
		}
		g.wantNoDifference()
	}
}

// sayEnvelope takes a dialogue up to mail data.
func (l *link) sayEnvelope() {
	l.Helper()
	if !l.say(true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n") || !l.say(false, "250 Ok\r\n250 Ok\r\n354 Go\r\n") {
		l.Fatalf("an envelope came up")
	}
}

func TestADialogueThatWasGrantedBeforeAReloadBeginsInInspection(t *testing.T) {
	g := known(t)
	l := g.newLink()
	l.stamps = true
	if !l.take(l.syn(true, synOptions)) || !l.take(l.syn(false, synOptions)) {
		t.Fatal("a SYN came up")
	}
	g.pipeline.SetPolicy(policy.New(policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}))
	g.wake()
	if l.acknowledge(true) {
		t.Error("the first acknowledgement has passed")
	}
	l.flush()
	for _, s := range []turn{{false, "220 mail.example.test ESMTP\r\n"}, {true, "MAIL FROM:<a@example.test>\r\n"}} {
		if l.say(s.toServer, s.octets) {
			t.Errorf("%q has passed", s.octets)
		}
	}
	g.wantNoDifference()
}

func TestAConnectionThatTheFullLogHasNoRoomForBeginsLater(t *testing.T) {
	g := known(t)
	fillLog(g)
	l := g.newLink()
	l.stamps = true
	if !l.take(l.syn(true, synOptions)) || !l.take(l.syn(false, synOptions)) {
		t.Fatal("a SYN came up")
	}
	queued := g.Queued()
	if l.acknowledge(true) || g.Queued() != queued {
		t.Error("a packet has passed, or came up, of whose connection inspection can't know")
	}
	g.wake()
	if !l.acknowledge(true) {
		t.Error("it came up when there was room again")
	}
	l.greet()
	if !l.say(true, "NOOP\r\n") {
		t.Error("a command came up")
	}
	g.wantNoDifference()
	l.wantOneTruth()
}

// No receiver takes a segment without ACK (RFC 9293 section 3.10.7.4), or with a header that is
// shorter than any, and inspection drops it.
func TestWhatNoReceiverTakesComesUpInTLSToo(t *testing.T) {
	g := known(t)
	l := g.followed()
	g.follower.Grant([]dataplane.Grant{{Kind: dataplane.GrantPass, Client: l.client.addr, Server: g.server,
		Next: [2]uint32{l.client.first + uint32(len(l.client.said)), l.server.first + uint32(len(l.server.said))}}})
	l.take(l.segment(true, len(l.client.said), packet.ACK|packet.URG, "").Append(nil)) // comes up, and with it the connection
	if !l.send(l.segment(true, len(l.client.said), packet.ACK|packet.PSH, "\x17\x03\x03\x00\x01a")) {
		t.Fatal("what was granted came up")
	}
	short := l.segment(true, len(l.client.said), packet.ACK, "a").Append(nil)
	short[20+12] = 4 << 4
	rechecked(short)
	for name, pkt := range map[string][]byte{
		"a segment without ACK":       l.segment(true, len(l.client.said), packet.PSH, "a").Append(nil),
		"one with a header too short": short,
	} {
		if l.take(pkt) {
			t.Errorf("%s has passed", name)
		}
		g.wake()
		l.send(l.segment(true, len(l.client.said), packet.ACK, "")) // it is granted again
	}
}
