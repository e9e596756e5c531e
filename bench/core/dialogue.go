package main

import (
	"slices"
	"testing"

	"keepword/bench/traffic"
	"keepword/inspect/packet"
)

// flight cuts octets into segments.
func flight(from end, octets []byte) (list []step) {
	for len(octets) > 0 {
		n := min(mss, len(octets))
		list = append(list, step{from, packet.ACK, octets[:n]})
		octets = octets[n:]
	}
	return list
}

// upgrade is a session's part from STARTTLS to the segment with the ServerHello.
func upgrade(h traffic.Hello) []step {
	list := []step{say(client, "STARTTLS\r\n"), say(server, "220 2.0.0 Ready to start TLS\r\n")}
	list = append(list, flight(client, h.Client)...)
	return append(list, ack(server), flight(server, h.Server)[0])
}

// dialogues are whole STARTTLS sessions on many connections. Their segments come mixed
// as on a gateway: in one batch, each connection is somewhere else in its dialogue.
type dialogues struct {
	*gateway
	// whole says that all of a session is timed, from SYN to the last acknowledgement of
	// a FIN; else greeting to ServerHello.
	whole    bool
	dialogue []step // greeting to ServerHello
	after    []step
	order    []int // of connections, each as often as dialogue has steps
	at       []int // next step of each connection
}

// crowd is how many dialogues go on at once.
const crowd = 512

func newDialogues(s subject, h traffic.Hello, whole bool) *dialogues {
	d := &dialogues{gateway: newGateway(s, crowd), whole: whole, at: make([]int, crowd)}
	d.dialogue = slices.Concat(introduction, upgrade(h))
	d.after = append(d.after, flight(server, h.Server)[1:]...)
	d.after = append(d.after, say(client, string(traffic.Protected(64))), say(server, string(traffic.Protected(64))))
	d.after = append(d.after, closing...)
	if whole {
		d.dialogue = slices.Concat(opening, d.dialogue, d.after)
	}
	for range d.dialogue {
		for i := range crowd {
			d.order = append(d.order, i)
		}
	}
	traffic.Chance(3).Shuffle(len(d.order), func(i, j int) { d.order[i], d.order[j] = d.order[j], d.order[i] })
	return d
}

// run plays at least n sessions and returns what one takes in nanoseconds.
func (d *dialogues) run(n int) (each float64) {
	played := 0
	for ; played < n; played += crowd {
		if !d.whole {
			d.play(0, crowd, opening)
		}
		clear(d.at)
		for _, i := range d.order {
			d.put(i, &d.dialogue[d.at[i]])
			d.at[i]++
		}
		each += d.took()
		if !d.whole {
			d.play(0, crowd, d.after)
		}
	}
	return each / float64(played)
}

// allocations returns how many a session makes, once memory has been made for as many
// as go on at once.
func (d *dialogues) allocations() float64 {
	d.run(2 * crowd)
	return testing.AllocsPerRun(5, func() { d.run(1) }) / crowd
}
