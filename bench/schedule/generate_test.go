package main

import (
	"bytes"
	"testing"
)

// rehearse makes the schedule of a seed and its turns without a network, as if every
// octet arrived and no policy edited any.
func rehearse(seed uint64) *Schedule {
	s := Generate(seed)
	var d dialogue
	if s.Side == ServerSide {
		s.Turn([]byte("220 server.example.test ESMTP\r\n"))
	}
	for _, e := range s.Script {
		if e.TLS {
			break // its octets are made by chance
		}
		replies := d.take(e.Say)
		if s.Side == ClientSide {
			s.Turn(e.Say)
		} else if len(replies) > 0 {
			s.Turn(replies)
		}
	}
	return s
}

func TestASeedAlwaysMakesTheSameSchedule(t *testing.T) {
	for seed := range uint64(200) {
		if a, b := rehearse(seed).String(), rehearse(seed).String(); a != b {
			t.Fatalf("seed %d makes\n%s and\n%s", seed, a, b)
		}
	}
}

func TestTheSegmentsOfALawfulScheduleAreTheText(t *testing.T) {
	lawful := 0
	for seed := range uint64(300) {
		s := rehearse(seed)
		if !s.Lawful {
			continue
		}
		lawful++
		text := s.Text()
		sent := make([]bool, len(text))
		for _, turn := range s.Turns {
			for _, seg := range turn.Segments {
				if seg.Why != "" {
					t.Errorf("seed %d: %v", seed, &seg)
				}
				if !bytes.Equal(text[seg.Offset:seg.Offset+len(seg.Octets)], seg.Octets) {
					t.Errorf("seed %d says at %d %s", seed, seg.Offset, quote(seg.Octets))
				}
				for i := range seg.Octets {
					sent[seg.Offset+i] = true
				}
			}
		}
		for i, s := range sent {
			if !s {
				t.Fatalf("seed %d never sends octet %d", seed, i)
			}
		}
	}
	if lawful == 0 {
		t.Error("no lawful schedule")
	}
}

func TestEveryKindOfHostilePacketIsMadeByBothSides(t *testing.T) {
	var made [2]map[string]bool
	var longest [2]int
	for side := range made {
		made[side] = map[string]bool{}
	}
	for seed := range uint64(4000) {
		s := rehearse(seed)
		for _, syn := range s.Syns {
			made[s.Side][syn.Why] = true
		}
		for _, turn := range s.Turns {
			for _, seg := range turn.Segments {
				made[s.Side][seg.Why] = true
				if seg.Why != "" {
					longest[s.Side] = max(longest[s.Side], len(seg.Octets))
				}
			}
		}
	}
	wanted := []string{
		"data on SYN", "other octets", "repeated", "bad checksum", "bad data offset", "out of window", "far in the window", "urgent",
		"urgent octets to come", "urgent pointer without URG", "SYN with data", "old timestamp", "no timestamp", "odd options",
		"no ACK", "acknowledges what it should not", "no window", "RST with a wrong number", "RST with the right number",
		"FIN with a wrong number", "FIN with the right number", "FIN far ahead", "SYN, FIN, RST and all", "fragments",
		"fragments that overlap with other octets", "a fragment without the others", "other octets, expires behind the gateway",
	}
	for side := range made {
		for _, why := range wanted {
			if !made[side][why] {
				t.Errorf("none of the %v's is %q", Side(side), why)
			}
		}
		if longest[side] < 20_000 {
			t.Errorf("the %v's longest hostile packet has %d octets", Side(side), longest[side])
		}
	}
	for _, why := range []string{"SYN of a simultaneous open", "acknowledges another SYN", "another SYN"} {
		if !made[ServerSide][why] {
			t.Errorf("none of the server's is %q", why)
		}
	}
}

func TestEveryFamilyHasItsShareOfLawfulSchedules(t *testing.T) {
	tally := newTally()
	const schedules = 2000
	for seed := range uint64(schedules) {
		tally.add(&Outcome{Schedule: Generate(seed)})
	}
	for name, c := range tally.families {
		if c.schedules < schedules/20 || c.lawful < c.schedules/10 || c.lawful > c.schedules/4 {
			t.Errorf("%s: %d schedules, %d of them lawful", name, c.schedules, c.lawful)
		}
	}
}
