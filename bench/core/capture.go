package main

import (
	"fmt"
	"math/rand/v2"

	"keepword/bench/traffic"
)

// recording is a capture in memory: short sessions of mixed kinds, many at once.
type recording struct {
	packets  [][]byte
	octets   uint64 // of all payloads, each once
	sessions int
}

const (
	mailSize  = 10 << 10
	atOnce    = 64
	disturbed = 0.05
)

// record makes a recording of so many sessions. Three of four deliver a mail of 10 KiB
// in clear text, the fourth one through STARTTLS. Where disorder is set, 5% of the
// segments with octets change places with the one behind them, if their sender has
// that in flight too, and another 5% are sent twice.
func record(sessions int, h traffic.Hello, disorder bool) *recording {
	r := &recording{sessions: sessions}
	random := traffic.Chance(4)
	conns := newConnections(sessions)
	mail := append(traffic.TextMail(mailSize), "\r\n.\r\n"...)
	var open [][][]byte // packets to come, of each session that goes on
	for next := 0; next < sessions || len(open) > 0; {
		for len(open) < atOnce && next < sessions {
			kind := mailInClear(mail)
			if next%4 == 3 {
				kind = mailInTLS(h)
			}
			open = append(open, r.session(&conns, next, kind, disorder, random))
			next++
		}
		k := random.IntN(len(open))
		r.packets = append(r.packets, open[k][0])
		if open[k] = open[k][1:]; len(open[k]) == 0 {
			open[k] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	return r
}

// acknowledged is a flight with its acknowledgements, one for two segments, as they
// arrive after it.
func acknowledged(flight []step) []step {
	for range (len(flight) + 1) / 2 {
		flight = append(flight, ack(1-flight[0].from))
	}
	return flight
}

func mailInClear(mail []byte) (list [][]step) {
	return append([][]step{opening, introduction, envelope}, acknowledged(flight(client, mail)), leave, closing)
}

func mailInTLS(h traffic.Hello) (list [][]step) {
	list = [][]step{opening, introduction, upgrade(h)}
	if rest := flight(server, h.Server)[1:]; len(rest) > 0 {
		list = append(list, rest)
	}
	for _, part := range []struct {
		from end
		size int
	}{{client, 74}, {server, 350}, {client, 51}, {server, 220}, {client, 120}, {server, 100}, {client, mailSize}, {server, 60}, {client, 28}, {server, 40}} {
		list = append(list, acknowledged(flight(part.from, traffic.Protected(part.size))))
	}
	return append(list, closing)
}

// session returns the packets of one session.
func (r *recording) session(c *connections, i int, parts [][]step, disorder bool, random *rand.Rand) (packets [][]byte) {
	for _, part := range parts {
		var again [][]byte
		first := len(packets)
		var swap []bool
		for k := range part {
			s := &part[k]
			pkt := c.segment(nil, i, s)
			packets = append(packets, pkt)
			r.octets += uint64(len(s.text))
			inFlight := k+1 < len(part) && part[k+1].from == s.from && len(part[k+1].text) > 0
			swap = append(swap, disorder && len(s.text) > 0 && inFlight && random.Float64() < disturbed)
			if disorder && len(s.text) > 0 && random.Float64() < disturbed {
				again = append(again, pkt)
			}
		}
		for k, s := range swap {
			if s {
				packets[first+k], packets[first+k+1] = packets[first+k+1], packets[first+k]
			}
		}
		packets = append(packets, again...)
	}
	return packets
}

// replays plays a recording again and again.
type replays struct {
	*gateway
	*recording
	played uint64 // sessions
}

func newReplays(s subject, r *recording) *replays {
	return &replays{gateway: newGateway(s, 0), recording: r}
}

// check wants besides that every session was one: the same packets again, taken for what
// is left of an old connection, would not be read.
func (r *replays) check(octets uint64) error {
	if k, ok := r.subject.(keepword); ok && k.ended.flows != r.played {
		return fmt.Errorf("%d sessions were played and %d followed", r.played, k.ended.flows)
	}
	return r.gateway.check(octets)
}

// run plays at least n packets and returns what one takes in nanoseconds.
func (r *replays) run(n int) (each float64) {
	played := 0
	for ; played < n; played += len(r.recording.packets) {
		for _, pkt := range r.recording.packets {
			r.repeat(pkt)
		}
		each += r.took()
		r.gateway.octets += r.recording.octets
		r.played += uint64(r.sessions)
		r.forget(r.now) // they are over and reported; now their ports are free
	}
	return each / float64(played)
}
