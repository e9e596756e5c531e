//go:build lab

package follow

import (
	"net/netip"
	"strings"
	"testing"

	"keepword/bench/traffic"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

func TestMailDataPassesHoweverItIsCut(t *testing.T) {
	const text = "Subject: cut\r\n\r\n..\r\n..two\r\nends in a dot.\r\n8\xe4bit\r\n.\r\n"
	came := map[string]bool{}
	for cut := 1; cut < len(text); cut++ {
		g := newGate(t, policy.Config{})
		l := g.followed()
		l.sayEnvelope()
		for _, part := range []string{text[:cut], text[cut:]} {
			if !l.say(true, part) {
				came[part] = true
			}
		}
		g.wantNoDifference()
		l.wantOneTruth()
		if got := string(l.server.got[0].octets); !strings.HasSuffix(got, text) {
			t.Errorf("cut at %d: %q", cut, got)
		}
	}
	// What dot begins a line is not known where it is the last octet, nor what ends one within
	// its end.
	if len(came) == 0 || len(came) > 12 {
		t.Errorf("%d parts came up: %v", len(came), came)
	}
}

func TestARetransmissionWithOtherOctetsIsMadeWhatHasPassed(t *testing.T) {
	for _, acknowledged := range []bool{false, true} {
		g := newGate(t, policy.Config{})
		l := g.followed()
		at := len(l.client.said)
		if !l.put(true, "RSET\r\n") {
			t.Fatal("nothing is followed")
		}
		if acknowledged {
			l.acknowledge(false)
		}
		l.server.got[1].octets = l.server.got[1].octets[:at] // it was lost behind the gateway for one of the two
		if l.send(l.segment(true, at, packet.ACK|packet.PSH, "DATA\r\n")) {
			t.Error("it has passed")
		}
		g.wake()
		if got := string(l.server.got[1].octets[at:]); got == "DATA\r\n" {
			t.Errorf("acknowledged %v: the server got %q", acknowledged, got)
		}
		g.wantNoDifference()
	}
}

func TestAKnownServersDialoguePassesFromTheSYNOn(t *testing.T) {
	for _, client := range []string{"192.0.2.9:50000", "[2001:db8::9]:50000"} {
		g := newGate(t, policy.Config{})
		if strings.HasPrefix(client, "[") {
			g.server = netip.MustParseAddrPort("[2001:db8::25]:587")
		}
		for i := range 3 { // on the same ports too
			l := g.newLinkFrom(netip.MustParseAddrPort(client))
			l.client.first += uint32(i) << 20
			l.server.first += uint32(i) << 20
			passed := l.open()
			if known := i > 0; passed != [3]bool{known, known, known} {
				t.Errorf("%s, connection %d: %v", client, i, passed)
			}
			l.greet()
			if !l.say(true, "QUIT\r\n") || !l.say(false, "221 Bye\r\n") {
				t.Errorf("%s, connection %d: the goodbye came up", client, i)
			}
			for _, toServer := range []bool{false, true} {
				from, _ := l.ends(toServer)
				l.send(l.segment(toServer, len(from.said), packet.ACK|packet.FIN, ""))
			}
			last := l.segment(false, len(l.server.said)+1, packet.ACK, "")
			l.send(last)
			g.wantNoDifference()
			l.wantOneTruth()
			if len(g.ended) != i+1 {
				t.Fatalf("%s: %d sessions have ended of %d", client, len(g.ended), i+1)
			}
			r := g.ended[i]
			if i > 0 { // a SYN on the same ports is the old connection's until it is answered
				r.ToServer.Packets++
				r.ToServer.Bytes += uint64(len(l.syn(true, synOptions)))
			}
			if int(r.ToServer.Packets) != l.server.packets || int(r.ToServer.Bytes) != l.server.octets ||
				int(r.ToClient.Packets) != l.client.packets || int(r.ToClient.Bytes) != l.client.octets {
				t.Errorf("%s: the event tells %+v and %+v, on the wire were %d packets of %d octets and %d of %d", client, r.ToServer, r.ToClient,
					l.server.packets, l.server.octets, l.client.packets, l.client.octets)
			}
		}
	}
}

func TestAFloodOfSYNsCostsNoLog(t *testing.T) {
	g := known(t)
	before, _ := counts(t)
	seen := g.Witness.Passed
	for range 2000 {
		if l := g.newLink(); !l.take(l.syn(true, synOptions)) {
			t.Fatal("a SYN came up")
		}
	}
	g.wake()
	after, _ := counts(t)
	if after.Silent-before.Silent != 2000 || g.Witness.Passed != seen {
		t.Errorf("%d SYNs have passed, %d packets were logged", after.Silent-before.Silent, g.Witness.Passed-seen)
	}
}

func TestWhatIsOnItsWayWhenADialogueIsGrantedComesUp(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.followed()
	l.say(true, "VRFY a\r\n") // comes up, and the answer is what a grant follows
	l.put(false, "252 Maybe\r\n")
	late := false
	g.Meanwhile = func() {
		if !late {
			late = true
			l.put(true, "NOOP\r\n") // it is diverted, and then inspection grants what it has seen
		}
	}
	g.wake()
	g.Meanwhile = nil
	if l.put(true, "RSET\r\n") {
		t.Error("a packet behind one that waits has passed")
	}
	g.wantNoDifference()
	l.wantOneTruth()
}

func TestAReplyToEHLOOfAServerThatIsNotGrantedComesUp(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.newLink()
	l.open()
	l.greet()
	// The first that it follows: the server is not known yet.
	if !l.put(true, "EHLO again.example.test\r\n") {
		t.Fatal("EHLO came up")
	}
	if l.put(false, "250-mail.example.test\r\n250 STARTTLS\r\n") {
		t.Error("the reply has passed")
	}
	g.wantNoDifference()
	l.wantOneTruth()
}

// inTLS returns a connection whose ends have both acknowledged protected data.
func inTLS(t *testing.T, g *gate) *link {
	t.Helper()
	l := g.newLink()
	l.open()
	l.say(false, "220 mail.example.test ESMTP\r\n")
	l.say(true, "EHLO client.example.test\r\n")
	l.say(false, "250-mail.example.test\r\n250 STARTTLS\r\n")
	l.say(true, "STARTTLS\r\n")
	l.say(false, "220 Go\r\n")
	flights, err := traffic.Shake(traffic.OpenSSL...)
	if err != nil {
		t.Fatal(err)
	}
	l.say(true, string(flights.Client))
	l.say(false, string(flights.Server))
	l.say(true, string(traffic.Protected(60)))
	g.wake() // inspection reads that it was acknowledged
	return l
}

func TestInTLSAllPassesButItsEndIsLogged(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := inTLS(t, g)
	before, _ := counts(t)
	seen := g.Witness.Passed
	for i := range 20 {
		if !l.put(i%2 == 0, string(traffic.Protected(100+i))) {
			t.Fatalf("packet %d came up", i)
		}
	}
	g.wake()
	if after, _ := counts(t); after.Passed-before.Passed != 20 || g.Witness.Passed != seen {
		t.Errorf("%d have passed, %d were logged", after.Passed-before.Passed, g.Witness.Passed-seen)
	}
	for _, toServer := range []bool{true, false} {
		from, _ := l.ends(toServer)
		if !l.send(l.segment(toServer, len(from.said), packet.ACK|packet.FIN, "")) {
			t.Error("a FIN came up")
		}
	}
	l.send(l.segment(true, len(l.client.said)+1, packet.ACK, ""))
	g.wantNoDifference()
	if len(g.ended) != 1 || int(g.ended[0].ToServer.Bytes) != l.server.octets || int(g.ended[0].ToClient.Bytes) != l.client.octets {
		t.Errorf("%+v; on the wire were %d and %d octets", g.ended, l.server.octets, l.client.octets)
	}
}

func TestInTLSAllPassesWhileTheLogIsFull(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := inTLS(t, g)
	g.server = netip.MustParseAddrPort("198.51.100.26:587") // one that offers no STARTTLS
	fillLog(g)
	for i := range 4 {
		if i == 1 {
			l.send(l.segment(false, len(l.server.said), packet.ACK|packet.FIN, ""))
		}
		if !l.put(true, string(traffic.Protected(100+1000*i))) {
			t.Fatalf("packet %d came up", i)
		}
	}
	if !l.send(l.segment(true, len(l.client.said), packet.RST|packet.ACK, "")) {
		t.Error("a reset came up")
	}
	g.wantNoDifference()
}
