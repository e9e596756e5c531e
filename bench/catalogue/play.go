package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepword/inspect/packet"
)

// wire is what stands between two ends.
type wire interface {
	// open is told of each connection before its first packet. arrive is to be called with
	// each packet that comes to an end, by the goroutine that calls carry.
	open(from, to netip.AddrPort, arrive func(at side, pkt []byte))
	// carry sends a packet of one end towards the other, and returns when what comes of it
	// has arrived.
	carry(from side, pkt []byte)
	// rest lets time pass. A wire that takes part in real time may leave out a long one.
	rest(d time.Duration)
}

// step is a part of a fixture's script.
type step func(p *play)

// script is steps in order.
func script(steps ...step) step {
	return func(p *play) {
		for _, s := range steps {
			s(p)
		}
	}
}

// play is a fixture under way: one connection, or several of the same client and server.
type play struct {
	wire  wire
	ends  [2]*end
	ports func() uint16 // a client's port that is free
	// segment is how many octets a segment has at the most.
	segment int

	// What is noted of all connections.
	sent, arrived [2][]string // transports, by who sent them
	odd           []string    // those of sent that no lawful sender would send
	said, heard   [2]string   // by who spoke, and by who listened
	early         int         // octets that the server had heard at the script's mark
	wasReset      [2]bool     // in the last connection
	last          string      // the packet that ended it, if a packet did
	command       string      // the client's last line
}

const (
	maxSegment  = 1400      // octets, so that no link cuts them
	clientFirst = 4_000_000 // first sequence numbers
	serverFirst = 9_000_000
)

// start has a play begin with a connection of which nothing has been sent.
func start(w wire, from, to netip.Addr, ports func() uint16) *play {
	const smtp = 25
	p := &play{wire: w, ports: ports, segment: maxSegment}
	p.ends[server] = newEnd(netip.AddrPortFrom(to, smtp), serverFirst)
	p.ends[client] = newEnd(netip.AddrPortFrom(from, ports()), clientFirst)
	w.open(p.ends[client].addr, p.ends[server].addr, p.arrive)
	return p
}

// again begins another connection of the same client and server.
func (p *play) again() {
	p.keep()
	c, s := p.ends[client].addr.Addr(), p.ends[server].addr
	p.ends = [2]*end{newEnd(netip.AddrPortFrom(c, p.ports()), clientFirst), newEnd(s, serverFirst)}
	p.wire.open(p.ends[client].addr, s, p.arrive)
}

// keep notes what the ends of a connection know.
func (p *play) keep() {
	for i, e := range p.ends {
		p.heard[i] += string(e.heard)
		e.heard = nil
		p.wasReset[i] = e.reset
	}
}

// arrive is told of a packet at an end.
func (p *play) arrive(at side, pkt []byte) {
	p.arrived[at.other()] = append(p.arrived[at.other()], transport(pkt))
	p.ends[at].take(pkt)
}

// send sends a packet, and notes if it is the one that ends the connection.
func (p *play) send(from side, pkt []byte) {
	tp := transport(pkt)
	p.sent[from] = append(p.sent[from], tp)
	open := !p.isReset()
	p.wire.carry(from, pkt)
	if open && p.isReset() {
		p.last = tp
	}
}

func (p *play) isReset() bool { return p.ends[client].reset && p.ends[server].reset }

// put sends a segment at the sender's next octet, and does not move on.
func (p *play) put(from side, flags packet.Flags, text string) {
	e := p.ends[from]
	if !e.reset {
		p.send(from, e.segment(p.ends[from.other()].addr, e.snd, flags, []byte(text)))
	}
}

// acknowledge has an end tell how far it has come, where that is news.
func (p *play) acknowledge(from side) {
	if e := p.ends[from]; e.rcv != e.acked {
		e.acked = e.rcv
		p.put(from, packet.ACK, "")
	}
}

// say has an end send text in segments, and the other acknowledge what it has got.
func (p *play) say(from side, text string) {
	e := p.ends[from]
	for b := range slices.Chunk([]byte(text), p.segment) {
		if e.reset {
			return // it has no connection to say it in
		}
		p.said[from] += string(b)
		p.put(from, packet.ACK|packet.PSH, string(b))
		e.snd += uint32(len(b))
		e.acked = e.rcv
		p.acknowledge(from.other())
		p.acknowledge(from)
	}
}

// c has the client say its texts, each in a segment of its own.
func c(texts ...string) step {
	return func(p *play) {
		for _, text := range texts {
			p.command = text
			p.say(client, text)
		}
	}
}

// s has the server say its texts. A server that was given a NOOP in place of a command
// answers that.
func s(texts ...string) step {
	return func(p *play) {
		heard := string(p.ends[server].heard)
		line := heard[strings.LastIndexByte(strings.TrimRight(heard, "\r\n"), '\n')+1:]
		if strings.HasPrefix(line, "NOOP ") && !strings.HasPrefix(p.command, "NOOP") {
			p.say(server, "250 2.0.0 nothing was done, as asked\r\n")
			return
		}
		for _, text := range texts {
			p.say(server, text)
		}
	}
}

// open is TCP's handshake.
func open(p *play) {
	p.put(client, packet.SYN, "")
	answer(p)
}

// answer is the rest of the handshake, behind the client's SYN.
func answer(p *play) {
	p.ends[client].snd++
	p.put(server, packet.SYN|packet.ACK, "")
	p.ends[server].snd++
	p.ends[client].acked = p.ends[client].rcv
	p.ends[server].acked = p.ends[server].rcv
	p.put(client, packet.ACK, "")
}

// again goes on with another connection.
func again(p *play) { p.again() }

// pause lets time pass.
func pause(d time.Duration) step { return func(p *play) { p.wire.rest(d) } }

// mark notes how much the server has heard by now.
func mark(p *play) { p.early = len(p.ends[server].heard) }

// odd sends a segment that no lawful sender would, from so many octets behind the next
// one. spoil may change the packet further.
func odd(from side, behind int, flags packet.Flags, text string, spoil func(pkt []byte)) step {
	return func(p *play) {
		e := p.ends[from]
		if e.reset {
			return
		}
		pkt := e.segment(p.ends[from.other()].addr, e.snd+uint32(behind), flags, []byte(text))
		if spoil != nil {
			spoil(pkt)
		}
		p.odd = append(p.odd, transport(pkt))
		p.send(from, pkt)
	}
}

// ahead sends octets behind a hole.
func ahead(from side, behind int, text string) step {
	return func(p *play) {
		if e := p.ends[from]; !e.reset {
			p.send(from, e.segment(p.ends[from.other()].addr, e.snd+uint32(behind), packet.ACK|packet.PSH, []byte(text)))
		}
	}
}

// urgent has an end say text in a segment that is marked urgent (RFC 9293 §3.8.5).
func urgent(from side, text string) step {
	return func(p *play) {
		e := p.ends[from]
		pkt := e.segment(p.ends[from.other()].addr, e.snd, packet.ACK|packet.PSH|packet.URG, []byte(text))
		var v packet.View
		packet.Parse(pkt, &v)
		const pointer, header = 18, 20
		pkt[len(pkt)-len(text)-header+pointer+1] = 1 // one octet, says the pointer
		v.SetChecksums()
		p.said[from] += text
		p.send(from, pkt)
		e.snd += uint32(len(text))
		p.acknowledge(from.other())
	}
}

// dies sends what the next step says already now, and it dies on its last hop.
func dies(from side, text string) step {
	return func(p *play) {
		p.ends[from.other()].deaf = true
		p.put(from, packet.ACK|packet.PSH, text)
		p.ends[from.other()].deaf = false
	}
}

// unseen brings octets to the other end by a way on which nobody stands.
func unseen(from side, text string) step {
	return func(p *play) {
		e, o := p.ends[from], p.ends[from.other()]
		o.take(e.segment(o.addr, e.snd, packet.ACK|packet.PSH, []byte(text)))
		e.snd += uint32(len(text))
		p.said[from] += text
	}
}

// afterwards has both ends go on as if nothing had ended their connection.
func (p *play) afterwards() {
	for i, e := range p.ends {
		from := side(i)
		p.send(from, e.segment(p.ends[from.other()].addr, e.snd, packet.ACK|packet.PSH, []byte(afterthought)))
	}
}

// afterthought is what nobody may hear.
const afterthought = "NOOP behind the end\r\n"
