package main

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"keepword/inspect/packet"
)

// generator makes the parts of one schedule.
type generator struct {
	*rand.Rand
	s *Schedule
}

// generatorOf returns the generator of a part of a schedule: each has its own, so that
// none depends on when another is made.
func generatorOf(s *Schedule, part int) *generator {
	return &generator{rand.New(rand.NewPCG(s.Seed, uint64(part))), s}
}

// Generate makes the schedule of a seed, always the same: its script, its SYNs and what
// kind it is. Its turns follow while it is played.
func Generate(seed uint64) *Schedule {
	s := &Schedule{Seed: seed}
	g := generatorOf(s, 0)
	if g.one(3) {
		s.Side = ServerSide
	}
	if g.one(2) {
		s.Policy = Policy(g.IntN(int(policies)))
	}
	s.TLS = g.one(6)
	s.Large = !s.TLS && g.one(8)
	s.Lawful, s.IPv6, s.Stamps = g.one(6), g.one(4), g.one(2)
	s.Ends, s.newlines = !s.Lawful && g.one(4), g.one(8)
	s.First = g.Uint32()
	if g.one(3) {
		s.First = -uint32(g.IntN(3000)) // the wrap is in its midst
	}
	g.synchronise()
	g.script()
	return s
}

// synchronise makes the SYNs.
func (g *generator) synchronise() {
	s := g.s
	syn := Segment{Offset: -1, Flags: packet.SYN}
	if s.Side == ClientSide {
		syn.Without = packet.ACK
	}
	odd := syn
	switch {
	case s.Lawful:
	case g.one(6):
		odd.Why, odd.Octets = "data on SYN", g.letters(1+g.IntN(40))
		s.Syns = append(s.Syns, odd)
	case s.Side == ClientSide:
	case g.one(6):
		odd.Why, odd.Without = "SYN of a simultaneous open", packet.ACK
		s.Syns = append(s.Syns, odd)
	case g.one(6):
		odd.Why, odd.AckOffset = "acknowledges another SYN", 1+g.IntN(1000)
		s.Syns = append(s.Syns, odd)
	case s.Ends:
		odd.Why, odd.Offset = "another SYN", g.IntN(2000)
		if g.one(2) {
			odd.HopLimit = s.expires()
		}
		s.Syns = append(s.Syns, odd)
	}
	s.Syns = append(s.Syns, syn)
	if g.one(6) {
		s.Syns = append(s.Syns, syn)
	}
}

// Turn makes the next turn: the packets with which the side says octets.
func (s *Schedule) Turn(octets []byte) *Turn {
	g := generatorOf(s, len(s.Turns)+1)
	s.Turns = append(s.Turns, Turn{Start: len(s.text), Octets: bytes.Clone(octets)})
	s.text = append(s.text, octets...)
	t := &s.Turns[len(s.Turns)-1]
	g.cut(t)
	most := 4
	switch {
	case s.Lawful:
		most = 0
	case s.TLS && !g.one(3): // so that many come to the end of a handshake
		most = 0
	}
	for range g.IntN(most + 1) {
		g.disturb(t)
	}
	if s.TLS && !s.Lawful && octets[0] < ' ' && g.one(4) {
		g.forgeRecord(t)
	}
	return t
}

// one says yes once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) letters(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + g.IntN(26))
	}
	return b
}

// forgedLines are put among forged octets, by side.
var forgedLines = [2][]string{
	{"\r\n", "\n", "\r\n.\r\n", "\r\nQUIT\r\n", "\r\nSTARTTLS\r\n"},
	{"\r\n", "\n", "\r\n250 Ok\r\n", "\r\n354 Go\r\n", "\r\n220 Now\r\n"},
}

// forge returns n octets that differ from those of the dialogue.
func (g *generator) forge(n int) []byte {
	b := bytes.ToUpper(g.letters(n))
	if g.s.newlines && n > 4 && g.one(2) {
		lines := forgedLines[g.s.Side]
		line := lines[g.IntN(len(lines))]
		if line == "\n" && !g.s.Ends {
			line = "\r\n" // whether it ends a command is each server's own, and keepword waits for as many replies
		}
		if len(line) < n {
			copy(b[g.IntN(n-len(line)):], line)
		}
	}
	return b
}

// cut makes a turn segments: in order or not, some of them twice, some in fragments.
func (g *generator) cut(t *Turn) {
	longest, again := []int{1400, 400, 60, 8}[g.IntN(4)], 50
	if len(t.Octets)/longest > maxCuts {
		longest = 400
	}
	if len(t.Octets) > largeTurn {
		longest, again = []int{largestPayload, 30_000, 5000}[g.IntN(3)], 20_000
	}
	for from := 0; from < len(t.Octets); {
		n := min(1+g.IntN(longest), len(t.Octets)-from)
		if longest == largestPayload {
			n = min(longest, len(t.Octets)-from)
		}
		s := Segment{Offset: t.Start + from, Octets: t.Octets[from : from+n]}
		if g.one(3) {
			s.Flags = packet.PSH
		}
		t.Segments = append(t.Segments, s)
		if g.one(8) || longest > 1400 && g.one(2) { // as of a timer that ran out too early
			back := g.IntN(min(from+t.Start, again) + 1)
			s.Offset -= back
			s.Octets = g.intended(s.Offset, min(n+back, largestPayload))
			t.Segments = append(t.Segments, s)
		}
		from += n
	}
	switch g.IntN(4) {
	case 0:
		g.Shuffle(len(t.Segments), func(i, j int) { t.Segments[i], t.Segments[j] = t.Segments[j], t.Segments[i] })
	case 1:
		if n := len(t.Segments); n > 1 {
			i := g.IntN(n - 1)
			t.Segments[i], t.Segments[i+1] = t.Segments[i+1], t.Segments[i]
		}
	case 2:
		slices.Reverse(t.Segments)
	}
	for i := range t.Segments {
		if g.one(20) && len(t.Segments[i].Octets) <= segmentLimit {
			g.fragment(&t.Segments[i])
		}
	}
}

const (
	// maxCuts bounds the segments of one turn, so that a lawful sender leaves no more
	// holes than keepword keeps (reassembly.MaxHoles).
	maxCuts = 60
	// largeTurn is how long a turn is at least that is sent in packets of many segments.
	largeTurn = 12_000
)

// intended returns octets of the text, and letters where they are beyond it.
func (g *generator) intended(from, n int) []byte {
	b := g.letters(n)
	if from >= 0 && from < len(g.s.text) {
		copy(b, g.s.text[from:])
	}
	return b
}

// fragment has a segment sent in two or three fragments, in any order.
func (g *generator) fragment(s *Segment) {
	s.Octets = s.Octets[:min(len(s.Octets), segmentLimit)]
	total := tcpHeader + 12 + len(s.Octets)
	cut := 8 * (3 + g.IntN(max(total/8-3, 1)))
	s.Pieces = []Piece{{From: 0, To: cut}, {From: cut, To: 1 << 16}}
	if g.one(3) {
		s.Pieces = []Piece{{From: 0, To: 24}, {From: 24, To: cut + 8}, {From: cut + 8, To: 1 << 16}}
	}
	g.Shuffle(len(s.Pieces), func(i, j int) { s.Pieces[i], s.Pieces[j] = s.Pieces[j], s.Pieces[i] })
}

// forgeRecord begins a turn with a TLS record that its receiver discards, be it for its
// hops or its timestamp: it shows protected data to who looks no further (RFC 8446 section
// 5.1).
func (g *generator) forgeRecord(t *Turn) {
	const length = 32
	s := Segment{Why: "a record that does not arrive", Offset: t.Start, Flags: packet.PSH}
	s.Octets = append([]byte{23, 3, 3, 0, length}, g.letters(length)...)
	if g.s.Stamps && g.one(2) {
		s.Stale = 1 << 20
	} else {
		s.HopLimit = g.s.expires()
	}
	t.Segments = slices.Insert(t.Segments, 0, s)
}

// disturb puts a hostile packet into a turn, at any place of its order.
func (g *generator) disturb(t *Turn) {
	// Most lie within the turn, some reach back into what was said or beyond it.
	longest := 600
	if len(t.Octets) > largeTurn && g.one(2) {
		longest = 30_000
	}
	from := t.Start + g.IntN(len(t.Octets))
	n := 1 + g.IntN(min(len(t.Octets), longest))
	if g.one(5) {
		from = max(0, from-g.IntN(100))
	}
	if !g.one(4) {
		n = min(n, max(t.Start+len(t.Octets)-from, 1))
	}
	s := Segment{Offset: from, Octets: g.forge(n)}
	if g.s.Ends && g.one(5) {
		endings[g.IntN(len(endings))](g, t, &s)
	} else {
		kinds[g.IntN(len(kinds))](g, t, &s)
	}
	if !s.divisible() {
		s.Octets = s.Octets[:min(len(s.Octets), segmentLimit)]
	}
	if g.one(8) {
		s.HopLimit, s.Why = g.s.expires(), s.Why+", expires behind the gateway"
	}
	t.Segments = slices.Insert(t.Segments, g.IntN(len(t.Segments)+1), s)
	if g.one(3) { // and again later, with other octets
		s.Octets = g.forge(len(s.Octets))
		t.Segments = slices.Insert(t.Segments, g.IntN(len(t.Segments)+1), s)
	}
}
