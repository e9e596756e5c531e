package inspect_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// behind passes a segment of the client that begins at octets behind what is next.
func (w *witness) behind(at int, flags packet.Flags, text string) verdict.Kind {
	w.t.Helper()
	return w.pass(w.segment(w.client, w.client.snd+uint32(at), flags|packet.ACK, []byte(text)), false)
}

// Behind a packet with a FIN came octets of the same sender: the FIN is not its last word,
// and would stand in the place of one of them.
func TestAFINThatWaitedDoesNotLeaveBeforeTheOctetsBehindIt(t *testing.T) {
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	for i, flags := range []packet.Flags{packet.FIN, 0} {
		if k := w.behind(6+6*i, flags, "NOOP\r\n"); k != verdict.Hold {
			t.Fatalf("%v, want hold", k)
		}
	}
	w.behind(0, 0, "RSET\r\n")
	w.wantHeard(w.server, "RSET\r\nNOOP\r\nNOOP\r\n")
	if w.fins != 0 {
		t.Errorf("%d FINs left", w.fins)
	}
}

func TestNoMorePacketsWaitThanMay(t *testing.T) {
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	for i := range inspect.MaxHeld + 1 {
		want := verdict.Hold
		if i == inspect.MaxHeld {
			want = verdict.Drop
		}
		if k := w.behind(1+i, 0, "x"); k != want {
			t.Errorf("packet %d: %v, want %v", i, k, want)
		}
	}
}

// What waits may be as large as what is kept of a direction, headers included.
func TestNoMoreOctetsWaitThanMayBeKept(t *testing.T) {
	const kept, header, first = 64 << 10, 40, 40_000
	for more, want := range map[int]verdict.Kind{0: verdict.Hold, 1: verdict.Drop} {
		w := newWitness(t, setup{limits: inspect.Limits{Flows: 10, Memory: 16 << 20, FlowMemory: 2 * kept}})
		upToOffer(w.wire)
		text := string(bytes.Repeat([]byte("x"), first))
		if k := w.behind(1, 0, text[:first-header]); k != verdict.Hold {
			t.Fatalf("%v, want hold", k)
		}
		n := kept - first - header + more
		if k := w.behind(1+first-n, 0, text[:n]); k != want { // it overlaps the first
			t.Errorf("%d octets too many: %v, want %v", more, k, want)
		}
	}
}

// What waits goes on in the order of its octets, however it came: when the hole before it
// is filled, and when sight is lost.
func TestWhatWaitedGoesOnInTheOrderOfItsOctets(t *testing.T) {
	const size = 6
	for name, goOn := range map[string]func(w *witness) []byte{
		"a hole is filled": func(w *witness) []byte { return w.segment(w.client, w.client.snd, packet.ACK, []byte("RSET\r\n")) },
		"a gap": func(w *witness) []byte {
			w.server.rcv += size
			return w.segment(w.server, w.server.snd, packet.ACK, nil)
		},
	} {
		for _, order := range [][]uint32{{1, 2, 3}, {3, 2, 1}, {2, 3, 1}, {2, 1, 3}, {3, 1, 2}} {
			t.Run(fmt.Sprintf("%s, came as %v", name, order), func(t *testing.T) {
				w := newWire(t, setup{isn: 1<<32 - 1040}) // the sequence numbers wrap
				upToOffer(w)
				at := w.client.snd
				for _, place := range order {
					if k := w.put(w.segment(w.client, at+size*place, packet.ACK, []byte("NOOP\r\n"))); k != verdict.Hold {
						t.Fatalf("%v, want hold", k)
					}
				}
				var left []uint32
				w.inspect(goOn(&witness{wire: w}), func([]byte) {}, func(pkt []byte) {
					var v packet.View
					packet.Parse(pkt, &v)
					left = append(left, (v.Seq-at)/size)
				})
				if !slices.Equal(left, []uint32{1, 2, 3}) {
					t.Errorf("they left as %v", left)
				}
			})
		}
	}
}

// The sequence numbers of the two directions say nothing of each other: where the server's
// are half their space away, no order is in all of them.
func TestTheOrderOfWhatWaitedIsThatOfItsDirection(t *testing.T) {
	hello, _ := hellos(t)
	const half = 1 << 31
	for name, c := range map[string]struct {
		asks           string
		ahead          uint32 // where what waits begins
		client, server string
		goOn           func(w *wire) []byte
	}{
		"a gap": {"", 6, "NOOP\r\nNOOP\r\n", "250 ok\r\n", func(w *wire) []byte {
			w.server.rcv += 6
			return w.segment(w.server, w.server.snd, packet.ACK, nil)
		}},
		"an answer": {"STARTTLS\r\n", 0, hello, "22", func(w *wire) []byte {
			return w.segment(w.server, w.server.snd+2, packet.ACK, []byte("0 go\r\n"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			w.again(41000)
			w.server.snd = w.client.snd + uint32(len(ehlo+c.asks)-len(greeting+offers)) - half + 3
			w.open()
			upToOffer(w)
			w.c(c.asks)
			at, size := w.client.snd+c.ahead, uint32(6)
			for _, pkt := range [][]byte{
				w.segment(w.client, at, packet.ACK, []byte(c.client[:size])),
				w.segment(w.server, w.server.snd+c.ahead, packet.ACK, []byte(c.server)),
				w.segment(w.client, at+size, packet.ACK, []byte(c.client[size:])),
			} {
				if k := w.put(pkt); k != verdict.Hold {
					t.Fatalf("%v, want hold", k)
				}
			}
			var left []uint32
			w.inspect(c.goOn(w), func([]byte) {}, func(pkt []byte) {
				var v packet.View
				if packet.Parse(pkt, &v); v.DstPort == 25 {
					left = append(left, v.Seq-at)
				}
			})
			if !slices.Equal(left, []uint32{0, size}) {
				t.Errorf("the client's left as %v", left)
			}
		})
	}
}

// A hold ends in the tick in which its time is over, not in the next.
func TestAHoldEndsWithTheLastNanosecondOfItsTime(t *testing.T) {
	hello, _ := hellos(t)
	for _, h := range holds {
		t.Run(h.name, func(t *testing.T) {
			w := newWitness(t, setup{})
			h.hold(w, hello)
			const timerStep = 10e6
			if w.wait(h.ends - timerStep); len(w.waiting) != 1 {
				t.Error("it ended early")
			}
			w.heard(w.client)
			w.heard(w.server)
			if w.wait(timerStep); len(w.waiting) != 0 {
				t.Error("it goes on")
			}
			if got := w.heard(w.client) + w.heard(w.server); (got != "") != h.passes {
				t.Errorf("at its end %q went on; want anything: %v", got, h.passes)
			}
		})
	}
}

// The end of what waits of the client is not that of a server's digits.
func TestDigitsOfAnAnswerWaitTheirOwnTime(t *testing.T) {
	hello, _ := hellos(t)
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	w.c("STARTTLS\r\n")
	w.behind(0, 0, hello)
	w.wait(9_900e6)
	w.heard(w.client)
	w.pass(w.segment(w.server, w.server.snd, packet.ACK, []byte("22")), false)
	if len(w.waiting) != 2 {
		t.Fatalf("%d packets are held, want 2", len(w.waiting))
	}
	w.wait(110e6)
	w.wantHeard(w.client, "")
	if len(w.waiting) != 1 {
		t.Errorf("%d packets are held when the ClientHello's time is over", len(w.waiting))
	}
	w.wait(110e6)
	w.wantHeard(w.client, "22")
}
