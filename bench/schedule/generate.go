package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"keepword/inspect/packet"
)

// Schedule is a session of one client: what it means to say, and the packets with which
// it says it.
type Schedule struct {
	Seed uint64
	// Lawful says that every packet is one that a sender in good faith, with a network
	// that reorders, repeats and fragments, may cause. Its mail must arrive.
	Lawful bool
	// Ends says that some packet may end the connection, or bring it to a stop.
	Ends   bool
	IPv6   bool
	Stamps bool   // it uses timestamps (RFC 7323)
	First  uint32 // sequence number of the first octet
	Syns   []Segment
	Turns  []Turn
}

// Turn is what the client says before it waits for replies.
type Turn struct {
	Start    int // where its octets begin in the stream
	Octets   []byte
	Replies  int
	Segments []Segment
}

// Text returns all that the client means to say.
func (s *Schedule) Text() (text []byte) {
	for _, t := range s.Turns {
		text = append(text, t.Octets...)
	}
	return text
}

// String lists the packets.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: lawful %v, may end %v, IPv6 %v, timestamps %v, first octet %d\n", s.Seed, s.Lawful, s.Ends, s.IPv6, s.Stamps, s.First)
	for i := range s.Syns {
		fmt.Fprintf(&b, "  %v\n", &s.Syns[i])
	}
	for _, t := range s.Turns {
		fmt.Fprintf(&b, " from %d on the client means to say %q\n", t.Start, t.Octets)
		for i := range t.Segments {
			fmt.Fprintf(&b, "  %v\n", &t.Segments[i])
		}
	}
	return b.String()
}

// generator makes one schedule.
type generator struct {
	*rand.Rand
	s *Schedule
	// newlines says that forged octets may end lines, and so change the dialogue.
	newlines bool
}

// Generate makes the schedule of a seed, always the same.
func Generate(seed uint64) *Schedule {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0)), s: &Schedule{Seed: seed}}
	s := g.s
	s.Lawful, s.IPv6, s.Stamps = g.one(6), g.one(4), g.one(2)
	s.Ends, g.newlines = !s.Lawful && g.one(4), g.one(8)
	s.First = g.Uint32()
	if g.one(3) {
		s.First = -uint32(g.IntN(3000)) // the wrap is in its midst
	}
	syn := Segment{Offset: -1, Flags: packet.SYN, Without: packet.ACK}
	if !s.Lawful && g.one(6) {
		odd := syn
		odd.Why, odd.Octets = "data on SYN", g.letters(1+g.IntN(40))
		s.Syns = append(s.Syns, odd)
	}
	s.Syns = append(s.Syns, syn)
	if g.one(6) {
		s.Syns = append(s.Syns, syn)
	}
	g.dialogue()
	for i := range s.Turns {
		t := &s.Turns[i]
		g.cut(t)
		if !s.Lawful {
			for range g.IntN(5) {
				g.disturb(t)
			}
		}
	}
	return s
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

// forge returns n octets that differ from those of the dialogue.
func (g *generator) forge(n int) []byte {
	b := bytes.ToUpper(g.letters(n))
	if g.newlines && n > 4 && g.one(2) {
		line := []string{"\r\n", "\n", "\r\n.\r\n", "\r\nQUIT\r\n", "\r\nSTARTTLS\r\n"}[g.IntN(5)]
		if line == "\n" && !g.s.Ends {
			line = "\r\n" // whether it ends a command is each server's own, and keepword waits for as many replies
		}
		if len(line) < n {
			copy(b[g.IntN(n-len(line)):], line)
		}
	}
	return b
}

// dialogue writes what the client means to say.
func (g *generator) dialogue() {
	at := 0
	say := func(replies int, text []byte) {
		g.s.Turns = append(g.s.Turns, Turn{Start: at, Octets: text, Replies: replies})
		at += len(text)
	}
	line := func(format string, words ...any) []byte { return fmt.Appendf(nil, format+"\r\n", words...) }
	tls := g.one(10)
	name := g.letters(1 + g.IntN(30))
	if tls {
		name = []byte(tlsName)
	}
	say(1, line("EHLO %s.example", name))
	if tls || g.one(3) {
		say(1, line("STARTTLS"))
	}
	if tls {
		say(0, g.clientHello())
		if g.s.Lawful || g.one(2) {
			say(0, []byte{21, 3, 1, 0, 2, 2, 40}) // an alert: handshake_failure (RFC 8446 section 6)
		} else {
			say(0, line("NOOP %s", g.letters(20)))
		}
		return
	}
	for range 1 + g.IntN(2) {
		if g.one(4) { // RFC 3030
			chunk := g.letters(1 + g.IntN(3000))
			say(1, line("MAIL FROM:<%s@%s.example>", g.letters(5), g.letters(3)))
			say(1, line("RCPT TO:<%s@example.test>", g.letters(5)))
			say(1, append(line("BDAT %d LAST", len(chunk)), chunk...))
			continue
		}
		commands := [][]byte{
			line("MAIL FROM:<%s@%s.example>", g.letters(1+g.IntN(20)), g.letters(3)),
			line("RCPT TO:<%s@example.test>", g.letters(1+g.IntN(20))),
			line("DATA"),
		}
		if g.one(2) { // RFC 2920
			say(len(commands), slices.Concat(commands...))
		} else {
			for _, c := range commands {
				say(1, c)
			}
		}
		var mail []byte
		for range 1 + g.IntN(20) {
			mail = append(mail, line("%s", g.letters(1+g.IntN(200)))...)
		}
		say(1, append(mail, ".\r\n"...))
	}
	say(1, line("QUIT"))
}

// tlsName is the name of clients whose STARTTLS the server accepts.
const tlsName = "tls"

// clientHello is one with a session id and a server name of chance, in one record
// (RFC 8446 section 4.1.2).
func (g *generator) clientHello() []byte {
	vector := func(width int, body []byte) []byte {
		b := make([]byte, width, width+len(body))
		for i, n := width-1, len(body); i >= 0; i, n = i-1, n>>8 {
			b[i] = byte(n)
		}
		return append(b, body...)
	}
	name := vector(2, append([]byte{0}, vector(2, append(g.letters(1+g.IntN(60)), ".example"...))...))
	body := append([]byte{3, 3}, g.letters(32)...)
	body = append(body, vector(1, g.letters(g.IntN(33)))...)
	body = append(body, vector(2, []byte{0xc0, 0x2f, 0x00, 0x9c})...)
	body = append(body, 1, 0)
	body = append(body, vector(2, append([]byte{0, 0}, vector(2, name)...))...)
	return append([]byte{22, 3, 1}, vector(2, append([]byte{1}, vector(3, body)...))...)
}

// cut makes a turn segments: in order or not, some of them twice, some in fragments.
func (g *generator) cut(t *Turn) {
	longest := []int{1400, 400, 60, 8}[g.IntN(4)]
	if len(t.Octets)/longest > maxCuts {
		longest = 400
	}
	for from := 0; from < len(t.Octets); {
		n := min(1+g.IntN(longest), len(t.Octets)-from)
		s := Segment{Offset: t.Start + from, Octets: t.Octets[from : from+n]}
		if g.one(3) {
			s.Flags = packet.PSH
		}
		t.Segments = append(t.Segments, s)
		if g.one(8) { // as of a timer that ran out too early
			back := g.IntN(min(from+t.Start, 50) + 1)
			s.Offset -= back
			s.Octets = g.intended(s.Offset, n+back)
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
		if g.one(20) {
			g.fragment(&t.Segments[i])
		}
	}
}

// maxCuts bounds the segments of one turn, so that a lawful sender leaves no more holes
// than keepword keeps (reassembly.MaxHoles).
const maxCuts = 60

// intended returns octets of the text, and letters where they are beyond it.
func (g *generator) intended(from, n int) []byte {
	text := g.s.Text()
	b := g.letters(n)
	if from >= 0 && from < len(text) {
		copy(b, text[from:])
	}
	return b
}

// fragment has a segment sent in two or three fragments, in any order.
func (g *generator) fragment(s *Segment) {
	total := tcpHeader + 12 + len(s.Octets)
	cut := 8 * (3 + g.IntN(max(total/8-3, 1)))
	s.Pieces = []Piece{{From: 0, To: cut}, {From: cut, To: 1 << 16}}
	if g.one(3) {
		s.Pieces = []Piece{{From: 0, To: 24}, {From: 24, To: cut + 8}, {From: cut + 8, To: 1 << 16}}
	}
	g.Shuffle(len(s.Pieces), func(i, j int) { s.Pieces[i], s.Pieces[j] = s.Pieces[j], s.Pieces[i] })
}

// disturb puts a hostile packet into a turn, at any place of its order.
func (g *generator) disturb(t *Turn) {
	// Most lie within the turn, some reach back into what was said or beyond it.
	from := t.Start + g.IntN(len(t.Octets))
	n := 1 + g.IntN(min(len(t.Octets), 600))
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
	if g.one(8) {
		s.HopLimit, s.Why = expires, s.Why+", expires behind the gateway"
	}
	t.Segments = slices.Insert(t.Segments, g.IntN(len(t.Segments)+1), s)
	if g.one(3) { // and again later, with other octets
		s.Octets = g.forge(len(s.Octets))
		t.Segments = slices.Insert(t.Segments, g.IntN(len(t.Segments)+1), s)
	}
}

// expires is a hop limit that lets a packet through the gateway and not through the box
// behind it.
const expires = 2

// kinds are the ways in which a packet is hostile. Each is given one with forged octets.
var kinds = []func(g *generator, t *Turn, s *Segment){
	func(_ *generator, _ *Turn, s *Segment) { s.Why = "other octets" },
	func(_ *generator, _ *Turn, s *Segment) { s.Why, s.HopLimit = "other octets", expires },
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Octets = "repeated", g.intended(s.Offset, len(s.Octets))
	},
	func(_ *generator, _ *Turn, s *Segment) { s.Why, s.BadChecksum = "bad checksum", true },
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.DataOffset = "bad data offset", []int{1, 4, 15}[g.IntN(3)]
		s.Octets = s.Octets[:min(len(s.Octets), 20)] // so that the longest header ends beyond it
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "out of window"
		s.Offset += []int{1 << 20, -1 << 20, 1 << 30, 1 << 31, 70_000, -70_000}[g.IntN(6)]
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "far in the window"
		s.Offset += 2000 + g.IntN(60_000)
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags, s.Urgent = "urgent", packet.URG, uint16(g.IntN(len(s.Octets)+2))
		if g.one(2) {
			s.Octets = g.intended(s.Offset, len(s.Octets))
		}
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags, s.Urgent, s.Octets = "urgent octets to come", packet.URG, uint16(1+g.IntN(40)), nil
	},
	func(_ *generator, _ *Turn, s *Segment) { s.Why, s.Urgent = "urgent pointer without URG", 1 },
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags = "SYN with data", packet.SYN
		if g.one(2) {
			s.Without = packet.ACK
		}
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Stale = "old timestamp", uint32(1000+g.IntN(1<<20))
	},
	func(_ *generator, _ *Turn, s *Segment) { s.Why, s.Bare = "no timestamp", true },
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "odd options"
		s.Options = [][]byte{
			{19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, // MD5, RFC 2385
			{29, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},           // AO, RFC 5925
			{5, 10, 0, 0, 0, 1, 0, 0, 0, 9},                                 // SACK
			{8, 10, 0, 0, 0, 1, 0, 0, 0, 1},                                 // a second timestamp
			{254, 0}, {8, 40}, {0, 7, 7, 7},
		}[g.IntN(7)]
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Without = "no ACK", packet.ACK
		if g.one(2) {
			s.Flags = packet.PSH
		}
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.AckOffset = "acknowledges what it should not", []int{1, 100, 1 << 20, 1 << 31, -100, -1 << 20}[g.IntN(6)]
		if g.one(2) {
			s.Octets = nil
		}
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "fragments"
		g.fragment(s)
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "fragments that overlap with other octets"
		g.fragment(s)
		p := &s.Pieces[g.IntN(len(s.Pieces))]
		p.To += 8
		p.Forged = g.forge(8)
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why = "a fragment without the others"
		g.fragment(s)
		s.Pieces = s.Pieces[:1]
	},
}

// endings are kinds that may end the connection, as their numbers may be the right ones
// by the time that they arrive, or close the client's window for good, as a later number
// decides (RFC 9293 section 3.10.7.4, SND.WL1).
var endings = []func(g *generator, t *Turn, s *Segment){
	func(_ *generator, _ *Turn, s *Segment) { s.Why, s.NoWindow = "no window", true },
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags, s.Octets = "RST with a wrong number", packet.RST, nil
		s.Offset += []int{0, 1, -1, 500, 30_000, 1 << 20, -1 << 20}[g.IntN(7)]
		if g.one(2) {
			s.Without = packet.ACK
		}
	},
	func(g *generator, t *Turn, s *Segment) {
		s.Why, s.Flags, s.Octets, s.HopLimit = "RST with the right number", packet.RST, nil, expires
		s.Offset = t.Start
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags = "FIN with a wrong number", packet.FIN
		if g.one(2) {
			s.Octets = g.intended(s.Offset, len(s.Octets))
		}
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags, s.Octets = "FIN far ahead", packet.FIN, nil
		s.Offset += 3000 + g.IntN(40_000)
	},
	func(_ *generator, t *Turn, s *Segment) {
		s.Why, s.Flags, s.Octets, s.HopLimit = "FIN with the right number", packet.FIN, nil, expires
		s.Offset = t.Start
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags = "SYN, FIN, RST and all", packet.Flags(g.IntN(64))
	},
}
