package inspect_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// The tests of docs/normalisation.md: what a receiver may do otherwise than we.

// optioned builds a segment with TCP options, padded to a multiple of four octets.
func (w *wire) optioned(from *end, seq uint32, flags packet.Flags, options, payload []byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	pkt := w.segment(from, seq, flags, slices.Concat(options, payload))
	tcp := 40
	if pkt[0]>>4 == 4 {
		tcp = 20
	}
	pkt[tcp+12] += byte(len(options) / 4 << 4)
	return w.whole(pkt)
}

// whole makes the checksums of pkt right.
func (w *wire) whole(pkt []byte) []byte {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK {
		w.t.Fatal(c)
	}
	v.SetChecksums()
	return pkt
}

// again begins another connection through the same pipeline, of which nothing has been
// sent yet.
func (w *wire) again(port uint16) {
	*w.client = end{addr: netip.AddrPortFrom(w.client.addr.Addr(), port), snd: 70000, ahead: map[uint32][]byte{}}
	*w.server = end{addr: w.server.addr, snd: 90000, ahead: map[uint32][]byte{}}
	w.client.rcv, w.server.rcv = w.server.snd+1, w.client.snd+1
}

// shake opens a connection whose SYNs carry the given options, and returns how the
// SYNs left, nil where one did not.
func (w *wire) shake(client, server []byte) (left [2][]byte) {
	for i, e := range []*end{w.client, w.server} {
		options, flags := client, packet.SYN
		if i == 1 {
			options, flags = server, packet.SYN|packet.ACK
		}
		w.now += 1e6
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.optioned(e, e.snd, flags, options, nil)}}}
		w.p.Inspect(&b)
		if k := b.Packets[0].Verdict; k == verdict.Accept || k == verdict.Replace {
			left[i] = b.Packets[0].Data
			w.deliver(left[i])
		}
		e.snd++
	}
	w.send(w.client, packet.ACK, nil)
	return left
}

func timestamps(value, echo uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{1, 1, 8, 10}, value)
	return binary.BigEndian.AppendUint32(b, echo)
}

// RFC 9293 §3.10.7.4: "if the ACK bit is off, drop the segment".
func TestControlBitsThatNoReceiverActsOnAreDropped(t *testing.T) {
	for _, flags := range []packet.Flags{
		0, packet.PSH, packet.FIN, packet.URG, packet.FIN | packet.PSH | packet.URG,
		packet.SYN | packet.RST, packet.SYN | packet.FIN, packet.SYN | packet.ACK | packet.FIN, packet.SYN | packet.ACK | packet.RST,
	} {
		w := newWire(t, setup{})
		upToOffer(w)
		if k := w.send(w.client, flags, []byte("MAIL FROM:<a@example>\r\n")); k != verdict.Drop {
			t.Errorf("flags %08b: %v, want drop", flags, k)
		}
		w.c("STARTTLS\r\n") // in the same place: those octets were never read
		w.wantHeard(w.server, "STARTTLS\r\n")
		w.s("250 OK\r\n")
		w.wantHeard(w.client, "454 No\r\n")
	}
}

func TestASYNWithFINOrRSTOpensNoSession(t *testing.T) {
	for _, flags := range []packet.Flags{packet.SYN | packet.FIN, packet.SYN | packet.RST} {
		w := newWire(t, setup{})
		before := w.p.Stats()
		w.again(41000)
		if k := w.send(w.client, flags, nil); k != verdict.Drop {
			t.Errorf("flags %08b: %v, want drop", flags, k)
		}
		if n := w.p.Stats().Opening; n != before.Opening {
			t.Errorf("flags %08b: %d sessions opening, were %d", flags, n, before.Opening)
		}
	}
}

func TestAWrongTCPChecksumIsDroppedAndCounted(t *testing.T) {
	for _, ends := range []setup{{}, {ends: version6}} {
		w := newWire(t, ends)
		upToOffer(w)
		pkt := w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n"))
		pkt[len(pkt)-1] ^= 1
		if k := w.put(pkt); k != verdict.Drop {
			t.Errorf("%v, want drop", k)
		}
		w.c("STARTTLS\r\n")
		w.wantHeard(w.server, "STARTTLS\r\n")
	}
}

func TestATCPHeaderOfAnImpossibleLengthIsDropped(t *testing.T) {
	for _, words := range []byte{0, 4, 15} {
		w := newWire(t, setup{})
		upToOffer(w)
		pkt := w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n"))
		pkt[20+12] = words << 4
		if k := w.put(pkt); k != verdict.Drop {
			t.Errorf("%d words: %v, want drop", words, k)
		}
	}
}

// A client that has thought better of it: the answer tells which SYN its server took.
func TestOfTwoSYNsOfAClientTheLaterIsFollowedAndTheOtherOpensNothing(t *testing.T) {
	for _, tookFirst := range []bool{true, false} {
		w := newWire(t, setup{})
		w.again(41000)
		first := w.client.snd
		w.send(w.client, packet.SYN, nil)
		w.put(w.segment(w.client, first+5000, packet.SYN, nil))
		if !tookFirst {
			w.client.snd += 5000
		}
		w.client.snd++
		w.server.rcv = w.client.snd
		w.send(w.server, packet.SYN|packet.ACK, nil)
		w.server.snd++
		k := w.send(w.client, packet.ACK, []byte(ehlo))
		if want := map[bool]verdict.Kind{true: verdict.Drop, false: verdict.Accept}[tookFirst]; k != want {
			t.Errorf("took the first: %v; octets: %v, want %v", tookFirst, k, want)
		}
	}
}

func TestReservedBitsChangeNothing(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	pkt := w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n"))
	pkt[20+12] |= 0x0f
	w.put(w.whole(pkt))
	w.client.snd += 10
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

func TestECNBitsChangeNothing(t *testing.T) {
	const ect1 = 1
	w := newWire(t, setup{})
	w.again(41000)
	w.send(w.client, packet.SYN|packet.ECE|packet.CWR, nil)
	w.client.snd++
	w.send(w.server, packet.SYN|packet.ACK|packet.ECE, nil)
	w.server.snd++
	w.send(w.client, packet.ACK, nil)
	upToOffer(w)
	pkt := w.segment(w.client, w.client.snd, packet.ACK|packet.ECE|packet.CWR, []byte("STARTTLS\r\n"))
	pkt[1] |= ect1
	w.put(w.whole(pkt))
	w.client.snd += 10
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

// The pointer means nothing without URG.
func TestAnUrgentPointerWithoutURGChangesNothing(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	pkt := w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n"))
	binary.BigEndian.PutUint16(pkt[20+18:], 3)
	if k := w.put(w.whole(pkt)); k != verdict.Accept {
		t.Errorf("%v, want accept", k)
	}
	w.wantHeard(w.server, "STARTTLS\r\n")
}

// A receiver takes an urgent octet out of its stream where it is told of one.
func TestNoUrgentOctetIsTakenOutOfTheStream(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	pkt := w.segment(w.client, w.client.snd, packet.ACK|packet.URG, []byte("STARTxTLS\r\n"))
	binary.BigEndian.PutUint16(pkt[20+18:], 6)
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.whole(pkt)}}}
	w.p.Inspect(&b)
	var v packet.View
	packet.Parse(b.Packets[0].Data, &v)
	if b.Packets[0].Verdict != verdict.Replace || v.Flags.Has(packet.URG) || v.Urgent != 0 || string(v.Payload) != "STARTxTLS\r\n" {
		t.Errorf("%v, flags %08b, pointer %d, %q", b.Packets[0].Verdict, v.Flags, v.Urgent, v.Payload)
	}
	w.wantFindings("urgent-data correct")
}

// Whatever makes a receiver refuse a segment that we have read (PAWS, its window, a TTL
// that ends behind us, a signature that it lacks), the octets stay what they were.
func TestOctetsThatTheReceiverRefusedComeAgainAsTheyWereReadFirst(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	w.shake(timestamps(1000, 0), timestamps(5000, 1000))
	upToOffer(w)
	old := w.optioned(w.client, w.client.snd, packet.ACK, timestamps(10, 5000), []byte("NOOP 123\r\n"))
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: old}}}
	w.p.Inspect(&b) // the server's PAWS discards it: it is not delivered
	w.put(w.optioned(w.client, w.client.snd, packet.ACK, timestamps(1001, 5000), []byte("STARTTLS\r\n")))
	w.wantHeard(w.server, "NOOP 123\r\n")
	w.wantFindings("overlap-conflict correct")
}

// Somebody may acknowledge in the server's name what it never had. From then on other
// octets in that place can't be told from the same ones: so none of them leave.
func TestOctetsThatWereAcknowledgedDoNotPassAgain(t *testing.T) {
	for _, both := range []bool{false, true} { // both: old and new octets in one segment
		w := newWire(t, setup{})
		upToOffer(w)
		read := "NOOP 123\r\n"
		w.p.Inspect(&dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.segment(w.client, w.client.snd, packet.ACK, []byte(read))}}})
		w.server.rcv += uint32(len(read))
		w.send(w.server, packet.ACK, nil) // forged
		w.server.rcv -= uint32(len(read))
		text := "STARTTLS\r\n"
		want := string(make([]byte, len(read)))
		if both {
			text += "QUIT\r\n"
			want += "QUIT\r\n"
		}
		w.put(w.segment(w.client, w.client.snd, packet.ACK, []byte(text)))
		w.wantHeard(w.server, want)
	}
}

func TestOctetsFarBeyondTheWindowAreDropped(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	if k := w.put(w.segment(w.client, w.client.snd+1<<20, packet.ACK, []byte("x"))); k != verdict.Drop {
		t.Errorf("%v, want drop", k)
	}
	w.wantFindings("out-of-window log")
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
}

// A receiver may give its window back, and then refuses what was sent into it.
func TestAWithdrawnWindowChangesNoOctet(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	shut := w.segment(w.server, w.server.snd, packet.ACK, nil)
	binary.BigEndian.PutUint16(shut[20+14:], 0)
	w.put(w.whole(shut))
	refused := w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP 123\r\n"))
	w.p.Inspect(&dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: refused}}})
	w.put(w.segment(w.client, w.client.snd, packet.ACK, []byte("N"))) // a zero window probe
	w.wantHeard(w.server, "N")
	w.put(w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n")))
	w.wantHeard(w.server, "OOP 123\r\n")
}

// Some stacks put one octet before SND.NXT on a keep-alive, and its content is no
// matter (RFC 9293 §3.8.4).
func TestAKeepAliveWithOneOldOctetPassesWithoutAFinding(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	if k := w.put(w.segment(w.client, w.client.snd-1, packet.ACK, []byte{0})); k != verdict.Accept {
		t.Errorf("%v, want accept", k)
	}
	if k := w.put(w.segment(w.client, w.client.snd-1, packet.ACK, nil)); k != verdict.Accept {
		t.Errorf("without octet: %v, want accept", k)
	}
	w.wantHeard(w.server, "")
	w.wantFindings()
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
}

// RFC 5961 §3.2: a receiver answers such a RST with a challenge ACK and goes on.
func TestAResetThatIsNotAtRCVNXTEndsNothing(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	for _, off := range []uint32{1, 1 << 12, ^uint32(0)} {
		w.put(w.segment(w.client, w.client.snd+off, packet.RST, []byte("octets that nobody hands on")))
	}
	w.send(w.server, packet.ACK, nil) // the challenge
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
	w.wantFindings("reset-unsure log", "answered-for-server correct")
}

// A reset may die behind us: what its receiver would still take stays unread for as
// long as an open connection may be silent.
func TestSilenceBehindAResetLetsNothingPassUnread(t *testing.T) {
	for name, end := range map[string]func(w *wire){
		"of the client": func(w *wire) { w.put(w.segment(w.client, w.client.snd, packet.RST, nil)) },
		"of ours":       func(w *wire) { w.c("STARTTLS\r\nRSET\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToOffer(w)
			end(w)
			w.server.reset, w.client.snd = false, w.server.rcv // it did not arrive
			w.heard(w.server)
			for _, minutes := range []int64{1, 20, 50} {
				w.wait(minutes * 60e9)
				w.send(w.client, packet.ACK, []byte(message))
				w.wantHeard(w.server, "")
				w.server.reset = false
			}
			w.wait(3601e9)
			if s := w.p.Stats(); s.Ended != 0 {
				t.Errorf("%d sessions are kept for ever", s.Ended)
			}
		})
	}
}

// RFC 5961 §4.2: a SYN in an open connection is answered with a challenge ACK.
func TestASYNInAnOpenConnectionEndsNothing(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.put(w.segment(w.client, w.client.snd+77, packet.SYN, nil))
	w.send(w.server, packet.ACK, nil)
	w.put(w.segment(w.server, w.server.snd+77, packet.SYN|packet.ACK, nil))
	w.c("STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "454 No\r\n")
}

// RFC 9293 §3.10.4: a sender that has closed sends no more. A receiver that has the FIN
// ignores what follows; one that has not would read it.
func TestOctetsBehindAFINGoNowhere(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.p.Inspect(&dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: w.segment(w.client, w.client.snd, packet.FIN|packet.ACK, nil)}}})
	w.heard(w.server)
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "")
}

// A receiver counts a FIN as an octet, and swallows the one that belongs in its place.
func TestAFINOutOfPlaceDoesNotLeave(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int // of the FIN's segment, from the next octet on
		text string
	}{{"ahead of a hole", 4, "TO"}, {"before octets that went ahead", 0, "RCPT "}, {"in the middle of what is known", -3, "go"}, {"alone, behind", -3, ""}, {"alone, ahead", 9, ""}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToOffer(w)
			w.put(w.segment(w.client, w.client.snd+5, packet.ACK, []byte("TO:<b@example>\r\n")))
			w.fins = 0
			w.put(w.segment(w.client, w.client.snd+uint32(c.at), packet.ACK|packet.FIN, []byte(c.text)))
			if w.fins != 0 {
				t.Error("a FIN left that is not the last word")
			}
		})
	}
}

func TestASYNWithOctetsIsDroppedAndTheOneWithoutOpens(t *testing.T) {
	w := newWire(t, setup{})
	w.again(41000)
	if k := w.send(w.client, packet.SYN, []byte(ehlo)); k != verdict.Drop {
		t.Errorf("fast open: %v, want drop", k)
	}
	w.shake(nil, nil)
	w.s(greeting)
	w.wantHeard(w.client, greeting)
	w.wantFindings("data-on-syn log")
}

// RFC 9293 §3.5, figure 7.
func TestASimultaneousOpenIsFollowed(t *testing.T) {
	for _, split := range []bool{false, true} { // split: the server only answers with a SYN of its own
		w := newWire(t, setup{})
		w.again(41000)
		w.send(w.client, packet.SYN, nil)
		w.send(w.server, packet.SYN, nil)
		w.put(w.segment(w.client, w.client.snd, packet.SYN|packet.ACK, nil))
		if !split {
			w.put(w.segment(w.server, w.server.snd, packet.SYN|packet.ACK, nil))
		}
		w.client.snd++
		w.server.snd++
		w.send(w.server, packet.ACK, nil)
		upToOffer(w)
		w.c("STARTTLS\r\n")
		w.s("250 OK\r\n")
		w.wantHeard(w.client, "454 No\r\n")
	}
}

// Of two SYNs of a server one may have died behind us. Which, the client tells.
func TestOfTwoSYNsOfAServerTheOneThatTheClientTookCounts(t *testing.T) {
	for _, other := range []int32{-1000, 1000} {
		for _, tookSecond := range []bool{false, true} {
			w := newWire(t, setup{})
			w.again(41000)
			w.send(w.client, packet.SYN, nil)
			w.client.snd++
			second := w.server.snd + uint32(other)
			w.send(w.server, packet.SYN|packet.ACK, nil)
			w.put(w.segment(w.server, second, packet.SYN|packet.ACK, nil))
			if k := w.put(w.segment(w.server, second+7, packet.SYN|packet.ACK, nil)); k != verdict.Drop {
				t.Errorf("a third SYN: %v, want drop", k)
			}
			if tookSecond {
				w.server.snd = second
			}
			w.server.snd++
			w.client.rcv = w.server.snd
			if k := w.send(w.server, packet.ACK, []byte(greeting)); k != verdict.Drop {
				t.Errorf("octets that nobody can place: %v, want drop", k)
			}
			w.send(w.client, packet.ACK, nil)
			upToOffer(w)
			w.c("STARTTLS\r\n")
			w.s("250 OK\r\n")
			w.wantHeard(w.client, "454 No\r\n")
			w.wantFindings("answered-for-server correct")
		}
	}
}

// A forged SYN must not stop a connection that is open.
func TestASecondSYNAfterTheClientsAcknowledgementIsNoMatter(t *testing.T) {
	w := newWire(t, setup{})
	w.put(w.segment(w.server, 12345, packet.SYN|packet.ACK, nil))
	w.s(greeting)
	w.wantHeard(w.client, greeting)
}

// None of these fields says where octets stand in the stream.
func TestTheRestOfTheIPHeaderChangesNothing(t *testing.T) {
	for name, alter := range map[string]func(ip []byte){
		"type of service": func(ip []byte) { ip[1] = 0xfc },
		"identification":  func(ip []byte) { ip[4], ip[5] = 0xab, 0xcd },
		"DF":              func(ip []byte) { ip[6] ^= 0x40 },
		"reserved flag":   func(ip []byte) { ip[6] |= 0x80 },
		"TTL":             func(ip []byte) { ip[8] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			upToOffer(w)
			pkt := w.segment(w.client, w.client.snd, packet.ACK, []byte("STARTTLS\r\n"))
			alter(pkt)
			w.put(w.whole(pkt))
			w.client.snd += 10
			w.wantHeard(w.server, "STARTTLS\r\n")
			w.s("250 OK\r\n")
			w.wantHeard(w.client, "454 No\r\n")
		})
	}
}
