package main

import "keepword/inspect/starttls"

// dialogue is an SMTP session as its two programs play it.
type dialogue struct {
	name string
	// kind is the row of the table that it is counted in.
	kind string
	says []say
	// features are what is in it that a lawful session may have.
	features []string
	goodbye  goodbye
	// outcome is what the inspection has to know of it at its end.
	outcome starttls.Outcome
}

// goodbye is how the connection ends.
type goodbye uint8

const (
	// separately: each side sends its FIN behind all octets.
	separately goodbye = iota
	// together: each side's FIN is on the segment of its last octets.
	together
	// abruptly: the client resets the connection when it has heard all.
	abruptly
)

// say is what one program writes at a time.
type say struct {
	fromClient bool
	octets     []byte
}

// has notes features.
func (d *dialogue) has(features ...string) { d.features = append(d.features, features...) }

func (d *dialogue) client(octets []byte) { d.say(true, octets) }
func (d *dialogue) server(octets []byte) { d.say(false, octets) }

func (d *dialogue) say(fromClient bool, octets []byte) {
	if len(octets) > 0 {
		d.says = append(d.says, say{fromClient, octets})
	}
}

// exchange is a command with its reply, or mail data or octets of a chunk with theirs.
type exchange struct {
	say, reply []byte
	// last says that nothing may be sent behind it before its reply (RFC 2920 section
	// 3.1).
	last bool
}

// split puts exchanges into groups: those that a client sends together where PIPELINING
// is offered, else one by one.
func (g *generator) split(list []exchange) (groups [][]exchange) {
	grouped := g.pipelining && !g.one(4)
	begin := 0
	for i := range list {
		if i+1 == len(list) || list[i].last || !grouped || g.one(5) {
			if i > begin {
				g.d.has("a group of commands")
			}
			groups = append(groups, list[begin:i+1])
			begin = i + 1
		}
	}
	return groups
}

// play has the client send exchanges, and the server answer them.
func (g *generator) play(list ...exchange) {
	for _, group := range g.split(list) {
		if len(group) > 1 && g.one(3) {
			g.interleave(group)
			continue
		}
		for _, e := range group {
			g.d.client(e.say)
		}
		for _, e := range group {
			g.d.server(e.reply)
		}
	}
}

// interleave has the server answer a group of which the client is still sending the rest.
func (g *generator) interleave(group []exchange) {
	g.d.has("replies while a group is being sent")
	var octets []byte
	var ends []int
	for _, e := range group {
		octets = append(octets, e.say...)
		ends = append(ends, len(octets))
	}
	sent, replied := 0, 0
	for sent < len(octets) {
		n := 1 + g.IntN(len(octets)-sent)
		g.d.client(octets[sent : sent+n])
		sent += n
		for replied < len(group) && ends[replied] <= sent && !g.one(3) {
			g.d.server(group[replied].reply)
			replied++
		}
	}
	for ; replied < len(group); replied++ {
		g.d.server(group[replied].reply)
	}
}
