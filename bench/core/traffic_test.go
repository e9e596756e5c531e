package main

import (
	"bytes"
	"testing"

	"keepword/bench/traffic"
	"keepword/inspect/packet"
	"keepword/inspect/starttls"
)

// subjects are what the same packets are given to.
func subjects(flows int) map[string]subject {
	plain := newBaseline()
	plain.plain = true
	return map[string]subject{"keepword": newKeepword(flows), "gopacket": newBaseline(), "gopacket.NewPacket": plain}
}

// hellos returns the first flights of both kinds.
func hellos(tb testing.TB) (classic, modern traffic.Hello) {
	tb.Helper()
	b, err := newBench(1, 1000, func(string) {})
	if err != nil {
		tb.Fatal(err)
	}
	return b.classic, b.modern
}

func TestEverySubjectReadsTheTrafficToItsLastOctet(t *testing.T) {
	classic, modern := hellos(t)
	const flows = 2000
	for name, play := range map[string]func(subject) *gateway{
		"segments":  func(s subject) *gateway { w := newSegments(s, mss); w.run(1000); return w.gateway },
		"bulk":      func(s subject) *gateway { w := newSegments(s, 60000); w.run(20); return w.gateway },
		"dialogues": func(s subject) *gateway { w := newDialogues(s, classic, false); w.run(2 * crowd); return w.gateway },
		"whole":     func(s subject) *gateway { w := newDialogues(s, modern, true); w.run(2 * crowd); return w.gateway },
		"recording": func(s subject) *gateway {
			w := newReplays(s, record(100, modern, false))
			w.run(9000)
			return w.gateway
		},
		"disordered": func(s subject) *gateway { w := newReplays(s, record(100, modern, true)); w.run(9000); return w.gateway },
		"spread":     func(s subject) *gateway { w := newSpread(s, flows); w.run(10000); return w.gateway },
	} {
		for reader, s := range subjects(flows) {
			g := play(s)
			if g.octets == 0 {
				t.Errorf("%s: nothing was sent", name)
			}
			if err := g.check(g.octets); err != nil {
				t.Errorf("%s by %s: %v", name, reader, err)
			}
		}
	}
}

func TestTheCheckSeesTrafficThatWasNotRead(t *testing.T) {
	for reader, s := range subjects(batchSize) {
		g := newGateway(s, batchSize)
		g.play(0, batchSize, opening, introduction)
		g.next[7][server] += 10 // ten octets are never sent, and then acknowledged
		g.octets += 10
		g.play(0, batchSize, envelope, []step{ack(client)}, leave)
		if g.check(g.octets) == nil {
			t.Errorf("%s is said to have read what was not there", reader)
		}
	}
}

func TestARecordingHasRightChecksumsAndUpgradesEveryFourthSession(t *testing.T) {
	_, modern := hellos(t)
	const sessions = 100
	for _, disorder := range []bool{false, true} {
		k := newKeepword(sessions)
		r := newReplays(k, record(sessions, modern, disorder))
		r.verified = true
		r.run(1)
		if err := r.check(r.gateway.octets); err != nil {
			t.Error(err)
		}
		s := k.Stats()
		if up, not := s.Outcomes[starttls.OutcomeUpgraded], s.Outcomes[starttls.OutcomeNotAsked]; up != sessions/4 || not != sessions-sessions/4 {
			t.Errorf("outcomes %v", s.Outcomes)
		}
	}
}

func TestOnlyADisorderedRecordingHasSegmentsOutOfOrderAndTwice(t *testing.T) {
	_, modern := hellos(t)
	for _, disorder := range []bool{false, true} {
		next := map[[2]uint64]uint32{} // by addresses and ports, the sequence number that is due
		seen := map[[2]uint64]map[uint32]bool{}
		early, again, data := 0, 0, 0
		for _, pkt := range record(200, modern, disorder).packets {
			var v packet.View
			packet.Parse(pkt, &v)
			if len(v.Payload) == 0 {
				continue
			}
			way := [2]uint64{uint64(v.Src[13])<<48 | uint64(v.Src[14])<<40 | uint64(v.Src[15])<<32 | uint64(v.SrcPort), uint64(v.Dst[14])<<24 | uint64(v.Dst[15])<<16 | uint64(v.DstPort)}
			if seen[way] == nil {
				seen[way] = map[uint32]bool{}
				next[way] = v.Seq
			}
			data++
			switch {
			case seen[way][v.Seq]:
				again++
				continue
			case v.Seq != next[way]:
				early++
			}
			seen[way][v.Seq] = true
			if end := v.Seq + uint32(len(v.Payload)); int32(end-next[way]) > 0 {
				next[way] = end
			}
		}
		if !disorder && early+again > 0 {
			t.Errorf("%d segments out of order and %d twice", early, again)
		}
		if disorder && (early < data/100 || again < data*3/100) {
			t.Errorf("of %d segments only %d out of order and %d twice", data, early, again)
		}
	}
}

func TestADialogueEndsWithTheServerHello(t *testing.T) {
	classic, modern := hellos(t)
	if n := len(classic.Client); n < 200 || n > 400 {
		t.Errorf("the classic ClientHello has %d octets", n)
	}
	if n := len(modern.Client); n < 1400 || n > 1800 {
		t.Errorf("the modern ClientHello has %d octets", n)
	}
	for _, h := range []traffic.Hello{classic, modern} {
		k := newKeepword(crowd)
		d := newDialogues(k, h, true)
		d.run(crowd)
		d.tick()
		if n := k.Stats().Outcomes[starttls.OutcomeUpgraded]; n != crowd {
			t.Errorf("%d of %d sessions were upgraded", n, crowd)
		}
		last := newDialogues(k, h, false).dialogue
		const record = 5 // octets of a record's header
		if text := last[len(last)-1].text; len(text) < record || text[0] != 22 || text[record] != 2 {
			t.Errorf("the last segment of a dialogue begins %x, which is no ServerHello", text[:min(len(text), 6)])
		}
	}
}

func TestMailIsWhatItIsSaidToBe(t *testing.T) {
	for name, mail := range map[string][]byte{"text": traffic.TextMail(100_000), "base64": traffic.Base64Mail(100_000)} {
		if len(mail) != 100_000 {
			t.Errorf("%s: %d octets", name, len(mail))
		}
		for line := range bytes.Lines(mail) {
			if len(line) > 78 {
				t.Errorf("%s: a line of %d octets", name, len(line))
			}
		}
	}
}

func TestASegmentAndItsAcknowledgementAllocateNothing(t *testing.T) {
	for _, octets := range []int{1, 100, mss, 60000} {
		s := newSegments(newKeepword(batchSize), octets)
		if n := s.allocations(); n != 0 {
			t.Errorf("%v allocations for %d octets", n, octets)
		}
	}
}
