package inspect_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

var requireTLS = policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}

// offered brings a session as far as the offer of STARTTLS and forgets what was heard.
func offered(w *wire) {
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.heard(w.client)
	w.heard(w.server)
}

func TestTheLooksOfAClientHelloDoNotOpenAWayAroundRequire(t *testing.T) {
	for _, answer := range []string{"454 4.7.0 not now\r\n", "501 5.5.4 no\r\n", "250 OK\r\n"} {
		everyCut(t, setup{policy: requireTLS}, func(t *testing.T, w *wire) {
			offered(w)
			w.c("STARTTLS\r\n")
			w.s(answer)
			w.heard(w.server)
			w.c("\x16\x03\x01\x02\x00\x01\r\n")
			w.s("500 5.5.2 what?\r\n")
			w.c(message)
			if got := w.heard(w.server); strings.Contains(got, "MAIL") {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}

func TestAnUrgentPointerIsClearedWithoutDataToo(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	pkt := w.segment(w.client, w.client.snd, packet.ACK|packet.URG, nil)
	binary.BigEndian.PutUint16(pkt[20+18:], 5)
	var v packet.View
	packet.Parse(pkt, &v)
	v.SetChecksums()
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
	w.p.Inspect(&b)
	packet.Parse(b.Packets[0].Data, &v)
	if b.Packets[0].Verdict != verdict.Replace || v.Flags.Has(packet.URG) || v.Urgent != 0 {
		t.Errorf("%v, flags %x, urgent pointer %d", b.Packets[0].Verdict, v.Flags, v.Urgent)
	}
}

func TestUrgentDataEndsTheConnectionWherePolicySaysSo(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.UrgentData: verdict.Kill}}})
	w.s(greeting)
	w.send(w.client, packet.ACK|packet.URG, []byte(ehlo))
	if !w.client.reset || !w.server.reset {
		t.Error("not ended")
	}
}

func TestNoNewOctetPassesBehindAReset(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.put(w.segment(w.client, w.client.snd, packet.RST, nil)) // one that never reaches the server
	w.server.reset = false
	w.c(message)
	w.wantHeard(w.server, "")
}

func TestTheFindingOfAKillSaysThatItsPacketWasDropped(t *testing.T) {
	w := newWire(t, setup{})
	offered(w)
	w.c("STARTTLS\r\nRSET\r\n")
	w.wantFindings("command-injection kill")
	if k := w.rec.findings[0].Packet; k != verdict.Drop {
		t.Errorf("packet: %v", k)
	}
}

func TestAClientWhoseReplyIsDroppedWithAKillIsTold421(t *testing.T) {
	kill := setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.OfferRefused: verdict.Kill}}}
	w := newWire(t, kill)
	offered(w)
	w.c("STARTTLS\r\n")
	w.s("554 5.7.0 no\r\n")
	if got := w.heard(w.client); !strings.HasPrefix(got, "421 4.7.0 ") {
		t.Errorf("the client heard %q", got)
	}
}

func TestAKillAfterReorderingReachesBothSidesAtOnce(t *testing.T) {
	ch, sh := hellos(t)
	w := newWire(t, setup{})
	offered(w)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	first := w.server.snd
	w.put(w.segment(w.server, first+20, packet.ACK, []byte(sh[20:])))
	w.put(w.segment(w.server, first, packet.ACK, []byte(sh[:20])))
	w.server.snd += uint32(len(sh))
	w.c("MAIL FROM:<>\r\n")
	if !w.client.reset || !w.server.reset {
		t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
	}
}

func TestRequireKnowsEverySpellingThatServersTakeForMAIL(t *testing.T) {
	for _, command := range []string{"MAIL\tFROM:<a@example>\r\n", " MAIL FROM:<a@example>\r\n", "\tmail from:<a@example>\r\n", "MAIL  FROM:<a@example>\r\n"} {
		everyCut(t, setup{policy: requireTLS}, func(t *testing.T, w *wire) {
			offered(w)
			w.c(command)
			if got := w.heard(w.server); strings.Contains(strings.ToUpper(got), "MAIL") && strings.Contains(got, "example") {
				t.Errorf("the server heard %q", got)
			}
			w.s("250 Ok\r\n")
			if got := w.heard(w.client); !w.client.reset && !strings.HasPrefix(got, "530 ") {
				t.Errorf("the client heard %q", got)
			}
		})
	}
}

func TestMailDataIsReadAsSuchHoweverDATAWasSpelt(t *testing.T) {
	for _, data := range []string{" DATA\r\n", "\tDATA\r\n", "DATA\t\r\n", "data \r\n"} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			offered(w)
			w.c(message)
			w.s("250 Ok\r\n")
			w.c("RCPT TO:<b@example>\r\n")
			w.s("250 Ok\r\n")
			w.c(data)
			w.s("354 go\r\n")
			w.heard(w.server)
			const text = "Hello\r\nSTARTTLS\r\nRSET\r\n.\r\n"
			w.c(text)
			w.wantHeard(w.server, text)
			w.s("250 Ok\r\n")
			w.wantFindings()
		})
	}
}

func TestObservingDropsNothing(t *testing.T) {
	rec := &recorder{}
	w := newWire(t, setup{})
	p := inspect.New(inspect.Config{Policy: policy.New(policy.Config{Mode: verdict.Observe}), Ports: []uint16{25},
		Midstream: inspect.WhenDrop, Limits: inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10}, Sink: rec})
	bad := w.segment(w.client, w.client.snd, packet.ACK, []byte(ehlo))
	bad[30] ^= 1
	for name, pkt := range map[string][]byte{"midstream": w.segment(w.client, w.client.snd, packet.ACK, []byte(ehlo)), "bad checksum": bad} {
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
		p.Inspect(&b)
		if b.Packets[0].Verdict != verdict.Accept {
			t.Errorf("%s: %v", name, b.Packets[0].Verdict)
		}
	}
}
