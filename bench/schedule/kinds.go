package main

import "keepword/inspect/packet"

// kinds are the ways in which a packet is hostile. Each is given one with forged octets.
var kinds = []func(g *generator, t *Turn, s *Segment){
	func(_ *generator, _ *Turn, s *Segment) { s.Why = "other octets" },
	func(g *generator, _ *Turn, s *Segment) { s.Why, s.HopLimit = "other octets", g.s.expires() },
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
		s.Why, s.Flags, s.Octets, s.HopLimit = "RST with the right number", packet.RST, nil, g.s.expires()
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
	func(g *generator, t *Turn, s *Segment) {
		s.Why, s.Flags, s.Octets, s.HopLimit = "FIN with the right number", packet.FIN, nil, g.s.expires()
		s.Offset = t.Start
	},
	func(g *generator, _ *Turn, s *Segment) {
		s.Why, s.Flags = "SYN, FIN, RST and all", packet.Flags(g.IntN(64))
	},
}
