package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// anew makes both ends begin another connection on the same ports.
func (w *wire) anew() {
	*w.client = end{addr: w.client.addr, snd: 5_000_000, ahead: map[uint32][]byte{}}
	*w.server = end{addr: w.server.addr, snd: 9_000_000, ahead: map[uint32][]byte{}}
}

// wantRead fails where a session is not read: MAIL in clear must be refused.
func (w *wire) wantRead() {
	w.t.Helper()
	offered(w)
	w.c("NOOP\r\n")
	w.wantHeard(w.server, "NOOP\r\n")
	w.s("250 ok\r\n")
	w.c(message)
	if got := w.heard(w.server); strings.Contains(got, "MAIL FROM") || len(got) != len(message) {
		w.t.Errorf("the server heard %q where MAIL was to be refused", got)
	}
}

// One segment of no connection, then a connection from the same port.
func TestASegmentOfNoConnectionOpensNoWayForTheNextConnection(t *testing.T) {
	for _, answered := range []bool{false, true} {
		w := newWire(t, setup{policy: requireTLS})
		w.again(40001)
		w.dies(w.segment(w.client, 123, packet.ACK, []byte("x")))
		if answered { // the server knows of no connection
			w.dies(w.segment(w.server, w.client.rcv, packet.RST, nil))
		}
		w.anew()
		w.open()
		w.wantRead()
	}
}

// A refused connection attempt, then another from the same port; also with the same
// sequence number, and with the server's that is 0 behind its SYN.
func TestAPortIsUsedAgainAfterARefusedConnection(t *testing.T) {
	for _, same := range []bool{false, true} {
		w := newWire(t, setup{policy: requireTLS})
		w.again(40001)
		w.send(w.client, packet.SYN, nil)
		first := w.client.snd
		w.server.rcv = first + 1
		w.put(w.segment(w.server, 0, packet.RST|packet.ACK, nil))
		w.wait(5e9)
		w.anew()
		if same {
			w.client.snd, w.server.snd = first, 1<<32-1
		}
		w.open()
		w.wantRead()
	}
}

// A SYN that was answered, and no more, for example of a scan with another's address.
func TestAPortIsUsedAgainAfterAHandshakeThatWasNotCompleted(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	w.again(40001)
	w.dies(w.segment(w.client, w.client.snd, packet.SYN, nil))
	w.dies(w.segment(w.server, w.server.snd, packet.SYN|packet.ACK, nil))
	for range 5 {
		w.wait(12e9)
		w.dies(w.segment(w.server, w.server.snd, packet.SYN|packet.ACK, nil)) // repeated
	}
	w.wait(300e9) // the server has long forgotten it
	w.anew()
	w.open()
	w.wantRead()
}

func TestALongLineOfMailDataEndsTheConnectionWherePolicySaysSo(t *testing.T) {
	w := newWire(t, letting(verdict.LineTooLong, verdict.Kill))
	offered(w)
	intoMailData(w)
	w.c(strings.Repeat("x", 5000) + "\r\n")
	if !w.client.reset || !w.server.reset {
		t.Error("the connection goes on")
	}
}

// A server with SYN cookies answers a repeated SYN with another number when a minute has
// passed by its clock; the client has taken the first.
func TestASecondCookieBehindTheClientsAcknowledgementEndsNothing(t *testing.T) {
	for _, cookie := range []uint32{95000, 85000, 90000 + 1<<30, 90000 + 3<<30} {
		w := newWire(t, setup{policy: requireTLS})
		w.again(40001)
		syn := w.segment(w.client, w.client.snd, packet.SYN, nil)
		w.open()
		w.put(syn) // it was under way when the answer came
		w.put(w.segment(w.server, cookie, packet.SYN|packet.ACK, nil))
		w.send(w.client, packet.ACK, nil) // the challenge of RFC 5961 section 4.2
		w.wantRead()
	}
}

// The new ports are for new connections: also for one whose ends were seen before.
func TestAConnectionToAPortThatIsNoLongerInspectedPasses(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.send(w.client, packet.RST, nil)
	w.p.SetPorts([]uint16{587})
	w.anew()
	w.open()
	w.s(greeting)
	w.c(ehlo)
	w.wantHeard(w.client, greeting)
	w.wantHeard(w.server, ehlo)
}

// A client that dies behind a NAT, and another that gets its port: the server answers the
// new SYN at once, as it kept nothing (SYN cookies).
func TestAPortIsUsedAgainAtOnceWhereTheServerKeepsNothing(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	w.again(40001)
	w.dies(w.segment(w.client, w.client.snd, packet.SYN, nil))
	w.dies(w.segment(w.server, w.server.snd, packet.SYN|packet.ACK, nil))
	w.wait(5e9)
	w.anew()
	w.open()
	w.wantRead()
}

// The server's answer to a second SYN belongs to another connection, also before the first
// was met: else its beginning looks like a gap, and policy lets what follows pass unread.
func TestASecondSYNBeforeTheHandshakeMakesNoGap(t *testing.T) {
	w := newWire(t, setup{})
	w.again(40001)
	x := w.client.snd
	w.dies(w.segment(w.client, x, packet.SYN, nil))
	w.dies(w.segment(w.server, w.server.snd, packet.SYN|packet.ACK, nil))
	w.wait(5e9)
	w.anew()
	w.client.snd = x + 100
	w.open()
	offered(w)
	w.c("STARTTLS\r\nRSET\r\n")
	if !w.server.reset || strings.Contains(w.heard(w.server), "RSET") {
		t.Errorf("the server heard what was injected; findings %q", w.rec.ids())
	}
}
