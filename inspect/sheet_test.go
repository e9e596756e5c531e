package inspect_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// More of docs/normalisation.md.

// wantFollowed fails unless the segment at the client's SND.NXT was read: the command in
// it was heard, and the false answer to it is corrected.
func (w *wire) wantFollowed() {
	w.t.Helper()
	w.client.snd += uint32(len("STARTTLS\r\n"))
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

func TestTheRestOfTheIPv6HeaderChangesNothing(t *testing.T) {
	between := func(kind byte, header ...byte) func(ip []byte) []byte {
		return func(ip []byte) []byte {
			header[0] = ip[6]
			ip[6] = kind
			binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(len(header)))
			return slices.Insert(ip, 40, header...)
		}
	}
	const hopByHop, routing, fragment, destinationOptions = 0, 43, 44, 60
	for name, alter := range map[string]func(ip []byte) []byte{
		"traffic class":            func(ip []byte) []byte { ip[0], ip[1] = 0x6f, ip[1]|0xc0; return ip },
		"flow label":               func(ip []byte) []byte { ip[1], ip[2], ip[3] = ip[1]|0x0f, 0xab, 0xcd; return ip },
		"hop limit":                func(ip []byte) []byte { ip[7] = 1; return ip },
		"hop-by-hop options":       between(hopByHop, 0, 0, 5, 2, 0, 0, 1, 0),           // router alert (RFC 2711)
		"destination options":      between(destinationOptions, 0, 0, 1, 4, 0, 0, 0, 0), // padding
		"an exhausted route":       between(routing, 0, 0, 4, 0, 0, 0, 0, 0),
		"a fragment that is whole": between(fragment, 0, 0, 0, 0, 0, 0, 0, 7), // RFC 6946
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{ends: version6})
			upToOffer(w)
			pkt := alter(w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n")))
			w.put(w.whole(pkt))
			w.wantFollowed()
		})
	}
}

func TestNoIPOptionChangesWhichOctetsAreRead(t *testing.T) {
	for name, options := range map[string][]byte{
		"record route":        {7, 7, 4, 0, 0, 0, 0, 0},
		"a full record route": {7, 7, 8, 192, 0, 2, 9, 0},
		"timestamp":           {68, 8, 5, 0, 0, 0, 0, 0},
		"router alert":        {148, 4, 0, 0},
		"a finished route":    {131, 7, 8, 192, 0, 2, 9, 0},
		"security":            {130, 3, 0, 0},
		"unknown":             {222, 4, 1, 2},
		"behind the end":      {0, 222, 99, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToOffer(w)
			pkt := slices.Insert(w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n")), 20, options...)
			pkt[0] += byte(len(options) / 4)
			binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
			w.put(w.whole(pkt))
			w.wantFollowed()
		})
	}
}

// A connection of which the beginning was not seen is let through unread, dropped or
// ended, as is configured.
func TestAConnectionFirstSeenInItsMiddleIsTreatedAsConfigured(t *testing.T) {
	for _, c := range []struct {
		when inspect.When
		kind verdict.Kind
		ends bool
	}{{inspect.WhenPass, verdict.Accept, false}, {inspect.WhenDrop, verdict.Drop, false}, {inspect.WhenKill, verdict.Drop, true}} {
		t.Run(c.when.String(), func(t *testing.T) {
			w := newWire(t, setup{})
			w.p = inspect.New(inspect.Config{ // which knows of no connection
				Policy: policy.New(policy.Config{}), Ports: []uint16{25}, Midstream: c.when, Sink: w.rec,
				Limits: inspect.Limits{Flows: 10, Memory: 16 << 20, FlowMemory: 256 << 10},
			})
			if k := w.send(w.client, packet.ACK, nil); k != verdict.Accept {
				t.Errorf("without octets: %v, want accept", k)
			}
			if k := w.send(w.client, packet.ACK, []byte("STARTTLS\r\n")); k != c.kind {
				t.Errorf("%v, want %v", k, c.kind)
			}
			if w.server.reset != c.ends || w.client.reset != c.ends {
				t.Errorf("reset: server %v, client %v; want %v", w.server.reset, w.client.reset, c.ends)
			}
			if n := lost(w, "midstream", c.when.String()); n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
}

// A SYN of the server with octets (a server that answers Fast Open's cookie, a split
// handshake) is dropped like a client's; the one without them opens.
func TestASYNOfAServerWithOctetsIsDropped(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	w.send(w.client, packet.SYN, nil)
	w.client.snd++
	if k := w.send(w.server, packet.SYN|packet.ACK, []byte(greeting)); k != verdict.Drop {
		t.Errorf("%v, want drop", k)
	}
	w.send(w.server, packet.SYN|packet.ACK, nil)
	w.server.snd++
	w.send(w.client, packet.ACK, nil)
	upToOffer(w)
	w.put(w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n")))
	w.wantFollowed()
}

// RFC 2018 §8: a receiver may throw away what it has acknowledged selectively, and Linux
// does when it is short of memory. What comes in its place is what it had.
func TestOctetsSelectivelyAcknowledgedAndThrownAwayComeAgainAsTheyWere(t *testing.T) {
	w := newWitness(t, setup{})
	upToData(w.wire)
	at := w.client.snd
	if k := w.pass(w.segment(w.client, at+6, packet.ACK, []byte("second\r\n")), true); k != verdict.Accept {
		t.Fatalf("mail data ahead of a hole: %v, want accept", k)
	}
	sack := binary.BigEndian.AppendUint32([]byte{5, 10}, at+6)
	sack = binary.BigEndian.AppendUint32(sack, at+14)
	w.pass(w.optioned(w.server, w.server.snd, packet.ACK, sack, nil), false)
	w.pass(w.segment(w.client, at, packet.ACK, []byte("first\n.\r\n.\r\n!!")), false)
	w.wantHeard(w.server, "first\nsecond\r\n")
}

// RFC 9293 §3.8.6.1: a sender probes a window of zero with an octet of its own, which may
// be taken or not. The forger's octet in the place of one that was read is not.
func TestAZeroWindowProbeBringsNoOtherOctet(t *testing.T) {
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n")), true) // the window was shut
	for _, probe := range []string{"S", "N"} {
		w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte(probe)), false)
	}
	w.wantHeard(w.server, "N")
}

// The window that a scaled connection may use is what can be kept, whichever end says it
// and however large.
func TestAScaledWindowIsNeverLargerThanWhatIsKept(t *testing.T) {
	const kept = 128 << 10 // the half of FlowMemory
	for shift := range byte(16) {
		w := newWire(t, setup{})
		w.again(41000)
		scale := []byte{1, 3, 3, shift}
		w.shake(scale, scale)
		for _, e := range []*end{w.client, w.server} {
			b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.segment(e, e.snd, packet.ACK, nil)}}}
			w.p.Inspect(&b)
			var v packet.View
			packet.Parse(b.Packets[0].Data, &v)
			if got := int(v.Window) << min(shift, 14); got > kept || got < min(kept/2, 65535) {
				t.Errorf("shift %d: a window of %d octets, want at most %d", shift, got, kept)
			}
			if !v.ChecksumOK() {
				t.Errorf("shift %d: the checksum is wrong", shift)
			}
		}
	}
}

// A sender may use the whole window that it was told, cut as it likes, out of order.
func TestAWholeWindowOutOfOrderIsWithinWhatIsKept(t *testing.T) {
	w := newWitness(t, setup{})
	w.again(41000)
	w.shake([]byte{1, 3, 3, 7}, []byte{1, 3, 3, 7})
	for i, e := range []*end{w.client, w.server} {
		w.left[i], w.acked[i] = map[uint32]byte{}, e.rcv
	}
	upToData(w.wire)
	const all = 128 << 10
	text := []byte(strings.Repeat("mail data of 32 octets........\r\n", all/32))
	for o := all - mss; o > 0; o -= mss { // the last comes first
		w.pass(w.segment(w.client, w.client.snd+uint32(o), packet.ACK, slices.Clone(text[o:min(o+mss, all)])), false)
	}
	w.pass(w.segment(w.client, w.client.snd, packet.ACK, slices.Clone(text[:mss])), false)
	w.wantHeard(w.server, string(text))
	w.wantFindings()
}
