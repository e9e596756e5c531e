package main

import (
	"fmt"
	"strings"

	"keepword/inspect/packet"
	v "keepword/inspect/verdict"
)

const noop = "NOOP\r\n"

// first and second are what two copies of the same octets say.
const first, second = "NOOP one\r\n", "NOOP two\r\n"

// packets are the fixtures of TCP and IP.
func packets() []*Fixture {
	return []*Fixture{
		{Finding: v.OverlapConflict, Told: true,
			Play: script(introduced(offer), dies(client, first), c(second), s(ok)),
			Healed: func(p *play) string {
				if !strings.HasSuffix(p.heard[server], "\n"+first) {
					return fmt.Sprintf("the server heard %q", p.heard[server])
				}
				return ""
			}},
		{Finding: v.DataOnSYN, Lossy: true,
			Special: "in enforce that SYN is dropped whatever the action",
			Play:    script(odd(client, 0, packet.SYN, ehlo, nil), open, s(greeting), c(ehlo), s(offer))},
		{Finding: v.UrgentData,
			Play: script(introduced(offer), urgent(client, noop), s(ok)),
			Healed: func(p *play) string {
				for _, tp := range p.arrived[client] {
					if packet.Flags(tp[13]).Has(packet.URG) || tp[18] != 0 || tp[19] != 0 {
						return "a segment with URG or a pointer arrived"
					}
				}
				if p.heard[server] != p.said[client] {
					return fmt.Sprintf("the server heard %q", p.heard[server])
				}
				return ""
			}},
		{Finding: v.BadChecksum, Lossy: true, Special: unread, Reports: never, Counted: asLog,
			Play: script(introduced(offer), odd(client, 0, packet.ACK|packet.PSH, noop, func(pkt []byte) { pkt[len(pkt)-1] ^= 1 }), c(noop), s(ok))},
		{Finding: v.BadHeader, Lossy: true, Special: unread, Reports: never, Counted: asLog,
			Play: script(introduced(offer), odd(client, 0, packet.PSH, noop, nil), c(noop), s(ok))},
		{Finding: v.OutOfWindow, Lossy: true,
			Special: "in enforce that segment is dropped whatever the action",
			Play:    script(introduced(offer), odd(client, 1<<20, packet.ACK|packet.PSH, noop, nil), c(noop), s(ok))},
		{Finding: v.ResetUnsure,
			Play: script(introduced(offer), odd(client, 1, packet.RST, "", nil), c(noop), s(ok))},
		{Finding: v.Gap,
			Play: script(introduced(offer), unseen(client, noop), c(noop), s(ok+ok))},
		{Finding: v.Midstream,
			Special: "what becomes of the connection is when.midstream, of which the default is pass",
			Play:    script(inTheMiddle, c(noop), s(ok))},
		{Finding: v.TooManyHoles, Lossy: true, Told: true,
			Special: "in enforce the segment is dropped whatever the action; in observe, which bounds no sender, the session is let through unread and reported with log",
			Reports: func(m setting) []v.Action {
				if m.mode == v.Observe {
					return atMostLog(m)
				}
				if m.action == v.Pass {
					return nil
				}
				return []v.Action{m.action}
			},
			Play: script(intoData(), holes, c(strings.Repeat("x", 2*maxHoles+1)))},
		{Finding: v.MemoryLimit, Told: true,
			Special: "this is a client that has 4,096 commands wait for replies; for the memory of all sessions when.memory_full decides",
			Play:    script(introduced(offer), c(strings.Repeat("RSET\r\n", 4097)))},
	}
}

const unread = "dropped in enforce whatever the action; counted as log, and no event"

func never(setting) []v.Action { return nil }
func asLog(setting) []v.Action { return []v.Action{v.Log} }

// inTheMiddle is a connection whose beginning nobody saw.
func inTheMiddle(p *play) {
	for i, e := range p.ends {
		e.snd++
		e.opened = true
		e.rcv = p.ends[1-i].snd
	}
	p.ends[client].rcv = p.ends[server].snd
	p.ends[client].acked, p.ends[server].acked = p.ends[client].rcv, p.ends[server].rcv
}

// maxHoles is how many runs of octets behind holes a direction may have.
const maxHoles = 128

// holes sends one octet behind each of as many holes as may be, and one more.
func holes(p *play) {
	for i := range maxHoles {
		ahead(client, 1+2*i, "x")(p)
	}
	odd(client, 1+2*maxHoles, packet.ACK|packet.PSH, "x", nil)(p)
}
