package inspect_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// longestHold is above the longest time that a packet may be held.
const longestHold = 11e9

// crowd is several connections through one pipeline, whose packets share batches.
type crowd struct {
	t       *rapid.T
	p       *inspect.Pipeline
	now     int64
	id      uint32
	holder  map[uint32]int   // who sent a packet that is held
	since   map[uint32]int64 // and when
	clients []uint16
	pending []crowded
}

// crowded is a packet on its way, and whose it is.
type crowded struct {
	connection int
	data       []byte
}

func (c *crowd) segment(i int, fromClient bool, seq, ack uint32, flags packet.Flags, payload string) {
	s := packet.Segment{
		Version: 4, Src: version4[0].Addr().As16(), Dst: version4[1].Addr().As16(), SrcPort: c.clients[i], DstPort: 25,
		Seq: seq, Ack: ack, Flags: flags, Window: 65535, HopLimit: 64, Payload: []byte(payload),
	}
	if !fromClient {
		s.Src, s.Dst, s.SrcPort, s.DstPort = s.Dst, s.Src, s.DstPort, s.SrcPort
	}
	c.pending = append(c.pending, crowded{i, s.Append(nil)})
}

// inspect has a batch of the first n packets decided.
func (c *crowd) inspect(n int) {
	c.now += 1e6
	b := dataplane.Batch{Now: c.now}
	senders := map[int]bool{}
	for _, pkt := range c.pending[:n] {
		c.id++
		b.Packets = append(b.Packets, dataplane.Packet{ID: c.id, Time: c.now, Data: pkt.data})
		senders[pkt.connection] = true
	}
	c.p.Inspect(&b)
	for i := range b.Packets { // one may be held and released in the same batch
		if b.Packets[i].Verdict == verdict.Hold {
			c.holder[b.Packets[i].ID], c.since[b.Packets[i].ID] = c.pending[i].connection, c.now
		}
	}
	for _, r := range b.Released {
		of, held := c.holder[r.ID]
		switch {
		case !held:
			c.t.Fatalf("packet %d was released but not held, or twice", r.ID)
		case r.Verdict != verdict.Accept && r.Verdict != verdict.Replace && r.Verdict != verdict.Drop:
			c.t.Fatalf("packet %d was released with %v", r.ID, r.Verdict)
		case !senders[of] && c.now-c.since[r.ID] < 200e6:
			c.t.Fatalf("packet %d of connection %d was released after %d ms by a batch of others", r.ID, of, (c.now-c.since[r.ID])/1e6)
		}
		delete(c.holder, r.ID)
	}
	c.pending = slices.Delete(c.pending, 0, n)
}

// A verdict decides the packet that it names: what others do, in the same batch or a
// later one, lets no held packet go.
func TestAHeldPacketIsReleasedOnceAndByItsOwnConnectionOnly(t *testing.T) {
	everHeld := 0
	defer func() {
		if everHeld == 0 {
			t.Error("no packet was ever held: the test shows nothing")
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		const connections = 4
		c := &crowd{
			t: t, now: 1e18, holder: map[uint32]int{}, since: map[uint32]int64{},
			p: inspect.New(inspect.Config{
				Policy: policy.New(policy.Config{}), Ports: []uint16{25}, Sink: &recorder{},
				Limits: inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10},
			}),
		}
		const client, server = 5000, 1<<32 - 30
		for i := range connections {
			c.clients = append(c.clients, uint16(40000+i))
			c.segment(i, true, client-1, 0, packet.SYN, "")
			c.segment(i, false, server-1, client, packet.SYN|packet.ACK, "")
			c.segment(i, true, client, server, packet.ACK, "")
			c.segment(i, false, server, client, packet.ACK, greeting)
		}
		c.inspect(len(c.pending))
		for i := range connections { // all at once, in any order, in pieces
			text := ehlo + "MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n"
			for at := 0; at < len(text); {
				n := min(rapid.IntRange(1, 30).Draw(t, "size"), len(text)-at)
				c.segment(i, true, client+uint32(at), server+uint32(len(greeting)), packet.ACK, text[at:at+n])
				at += n
			}
		}
		c.pending = rapid.Permutation(c.pending).Draw(t, "order")
		for len(c.pending) > 0 {
			c.inspect(min(rapid.IntRange(1, 6).Draw(t, "batch"), len(c.pending)))
			everHeld += len(c.holder)
		}
		if len(c.holder) > 0 {
			t.Fatalf("%d packets are held although no octet is missing", len(c.holder))
		}
	})
}

// A sender fills its window behind a hole, and everything that it sent is held or
// dropped. Once the hole is filled all of it goes on, without a second hole's worth of
// time; and where nothing fills it, its own timer brings the octets again.
func TestASenderWithAFullWindowBehindAHoleGetsOn(t *testing.T) {
	for _, size := range []int{1, 7, 536, 1448, 16_000} {
		for _, fill := range []string{"at once", "after the hold's time"} {
			t.Run(fmt.Sprintf("segments of %d, filled %s", size, fill), func(t *testing.T) {
				bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
					w := newWitness(t, setup{ends: ends, isn: 1<<32 - 20_000})
					upToOffer(w.wire)
					// A window of commands: behind a hole they may not pass.
					n := min(window, 100*size)
					text := []byte(strings.Repeat("RCPT TO:<someone@example.org>\r\n", n/31+1))[:n]
					at := w.client.snd
					hole := min(size, n/2)
					for o := hole; o < n; o += size {
						w.pass(w.segment(w.client, at+uint32(o), packet.ACK, bytes.Clone(text[o:min(o+size, n)])), false)
					}
					if got := w.heard(w.server); got != "" {
						t.Fatalf("%d octets passed ahead of a hole among commands", len(got))
					}
					if len(w.waiting) == 0 {
						t.Fatal("nothing is held: the test shows nothing")
					}
					if fill != "at once" {
						w.wait(longestHold)
						if len(w.waiting) > 0 {
							t.Fatalf("%d packets are still held", len(w.waiting))
						}
					}
					// From here on the sender repeats what is not acknowledged, oldest first
					// (RFC 6298 §5.4): each round at most one segment, or what the
					// acknowledgement opened.
					var heard []byte
					for round := 0; len(heard) < n; round++ {
						if round > n/size+1 {
							t.Fatalf("after %d repetitions %d of %d octets have arrived, %d packets held", round, len(heard), n, len(w.waiting))
						}
						o := len(heard)
						w.pass(w.segment(w.client, at+uint32(o), packet.ACK, bytes.Clone(text[o:min(o+size, n)])), false)
						heard = append(heard, w.heard(w.server)...)
						w.pass(w.segment(w.server, w.server.snd, packet.ACK, nil), false)
						if round == 0 && fill == "at once" && len(heard) < min(n, hole+60*size) {
							t.Errorf("filling the hole let %d of %d octets go", len(heard), n)
						}
					}
					if !bytes.Equal(heard, text) {
						t.Errorf("heard otherwise from octet %d on", differs(string(heard), string(text)))
					}
					if w.client.reset || w.server.reset {
						t.Error("the connection was reset")
					}
				})
			})
		}
	}
}

// A sender that repeats what waits takes up no more room: the copy is dropped, and what
// waits is let go when the hole is filled.
func TestWhatWaitsIsHeldOnceHoweverOftenItComes(t *testing.T) {
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	at := w.client.snd
	for i := range 100 {
		k := w.pass(w.segment(w.client, at+6, packet.ACK, []byte("RSET\r\nNOOP\r\n")), false)
		if want := map[bool]verdict.Kind{true: verdict.Hold, false: verdict.Drop}[i == 0]; k != want {
			t.Fatalf("copy %d: %v, want %v", i, k, want)
		}
	}
	if k := w.pass(w.segment(w.client, at+12, packet.ACK, []byte("NOOP\r\n")), false); k != verdict.Drop {
		t.Errorf("a part of it: %v, want drop", k)
	}
	w.pass(w.segment(w.client, at, packet.ACK, []byte("NOOP\r\n")), false)
	w.wantHeard(w.server, "NOOP\r\nRSET\r\nNOOP\r\n")
}

// RFC 2920 §3.1: the next transaction's commands may stand behind the end of mail data,
// DATA as the last. They may go ahead of a hole with it, and filling the hole is not held
// back for the sake of octets that nobody sends before the reply.
func TestAGroupOfCommandsThatWentAheadOfAHoleStallsNothing(t *testing.T) {
	bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
		for _, size := range []int{1, 9, 1448} {
			w := newWitness(t, setup{ends: ends, isn: 1<<32 - 1100})
			upToData(w.wire)
			text := "first line\r\nlast line\r\n.\r\nMAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n"
			at := w.client.snd
			w.sendAs(w.client, at+5, []byte(text[5:]), size, nil)
			w.sendAs(w.client, at, []byte(text[:5]), size, nil)
			w.wantHeard(w.server, text)
			w.client.snd += uint32(len(text))
			w.s("250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n")
			w.c("more\r\n.\r\n")
			w.wantHeard(w.server, "more\r\n.\r\n")
			w.wantFindings()
		}
	})
}

// Every second segment of a window is lost, more than may wait: the connection goes on.
func TestASenderThatLosesEverySecondSegmentGetsOn(t *testing.T) {
	bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
		w := newWitness(t, setup{ends: ends})
		upToOffer(w.wire)
		text := []byte(strings.Repeat("RCPT TO:<someone@example.org>\r\n", window/31))
		at := w.client.snd
		for o := mss; o < len(text); o += 2 * mss {
			w.pass(w.segment(w.client, at+uint32(o), packet.ACK, bytes.Clone(text[o:min(o+mss, len(text))])), false)
		}
		for o := 0; o < len(text); o += 2 * mss {
			w.pass(w.segment(w.client, at+uint32(o), packet.ACK, bytes.Clone(text[o:min(o+mss, len(text))])), false)
		}
		w.wantHeard(w.server, string(text))
		w.wantFindings()
	})
}

// holds are the ways in which a packet comes to be held.
var holds = []struct {
	name string
	hold func(w *witness, hello string) // leaves something held
	ends int64                          // nanoseconds
	// passes: then it goes on to its receiver; else it is dropped, and its sender repeats it.
	passes bool
}{
	{"a command behind a hole", func(w *witness, _ string) {
		upToOffer(w.wire)
		w.pass(w.segment(w.client, w.client.snd+5, packet.ACK, []byte("NOOP\r\n")), false)
	}, 10e9, false},
	{"a reply behind a hole", func(w *witness, _ string) {
		w.s(greeting)
		w.c(ehlo)
		w.pass(w.segment(w.server, w.server.snd+16, packet.ACK, []byte(offers[16:])), false)
	}, 10e9, false},
	{"an early ClientHello", func(w *witness, hello string) {
		upToOffer(w.wire)
		w.c("STARTTLS\r\n")
		w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte(hello)), false)
	}, 10e9, false},
	{"text behind DATA before its reply", func(w *witness, _ string) {
		upToOffer(w.wire)
		w.c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n")
		w.s("250 ok\r\n250 ok\r\n")
		w.c("DATA\r\n")
		w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte("early text\r\n")), false)
	}, 10e9, false},
	{"the first digits of an answer to STARTTLS", func(w *witness, _ string) {
		upToOffer(w.wire)
		w.c("STARTTLS\r\n")
		w.pass(w.segment(w.server, w.server.snd, packet.ACK, []byte("22")), false)
	}, 200e6, true},
}

// A timer ends each hold, whether or not packets come; not before its time, and at most
// one tick and the timers' own step after it.
func TestEveryHoldEndsByTimer(t *testing.T) {
	hello, _ := hellos(t)
	for _, h := range holds {
		t.Run(h.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
				w := newWitness(t, setup{ends: ends})
				h.hold(w, hello)
				w.heard(w.client)
				w.heard(w.server)
				if len(w.waiting) != 1 {
					t.Fatalf("%d packets are held, want 1", len(w.waiting))
				}
				const early = 50e6
				w.wait(h.ends - early)
				if len(w.waiting) != 1 {
					t.Errorf("it ended %d ms early", int64(early)/1e6)
				}
				const timerStep = 10e6
				w.wait(early + dataplane.TickInterval + timerStep)
				if len(w.waiting) != 0 {
					t.Errorf("it goes on after %d ms", h.ends/1e6)
				}
				got := w.heard(w.client) + w.heard(w.server)
				if (got != "") != h.passes {
					t.Errorf("at its end %q went on; want anything: %v", got, h.passes)
				}
				if w.client.reset || w.server.reset {
					t.Error("the connection was reset")
				}
			})
		})
	}
}

// The tail of a packet whose head has left is no packet of the kernel's: at its time's
// end it goes nowhere, and its sender repeats it.
func TestATailThatIsKeptIsNotSentWhenItsTimeIsOver(t *testing.T) {
	w := newWitness(t, setup{})
	upToOffer(w.wire)
	w.c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n")
	w.s("250 ok\r\n250 ok\r\n")
	w.heard(w.server)
	w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte("DATA\r\ntext\r\n")), false)
	w.wantHeard(w.server, "DATA\r\n")
	w.wait(longestHold)
	w.wantHeard(w.server, "")
	w.pass(w.segment(w.client, w.client.snd+6, packet.ACK, []byte("text\r\n")), false)
	w.s("354 go\r\n")
	w.wantHeard(w.server, "text\r\n")
}

// However a session ends, what it holds is decided.
func TestNothingIsHeldBeyondTheEndOfItsSession(t *testing.T) {
	for name, finish := range map[string]func(w *witness){
		"a reset": func(w *witness) { w.pass(w.segment(w.server, w.server.snd, packet.RST, nil), false) },
		"a kill":  func(w *witness) { w.c("STARTTLS\r\nRSET\r\n") },
		"a new connection in its place": func(w *witness) {
			w.pass(w.segment(w.server, w.server.snd, packet.RST, nil), false)
			w.pass(w.segment(w.client, w.client.snd+1<<20, packet.SYN, nil), false)
		},
		"a full table": func(w *witness) {
			w.client.addr = netip.AddrPortFrom(w.client.addr.Addr(), 50000)
			w.pass(w.segment(w.client, 77, packet.SYN, nil), false)
		},
		"a gap": func(w *witness) {
			w.server.rcv += 5 // it has what we have not
			w.pass(w.segment(w.server, w.server.snd, packet.ACK, nil), false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t, setup{limits: inspect.Limits{Flows: 1, Memory: 16 << 20, FlowMemory: 256 << 10}})
			upToOffer(w.wire)
			if k := w.pass(w.segment(w.client, w.client.snd+5, packet.ACK, []byte("NOOP\r\n")), false); k != verdict.Hold {
				t.Fatalf("%v, want hold", k)
			}
			finish(w)
			if len(w.waiting) > 0 {
				t.Errorf("%d packets are still held", len(w.waiting))
			}
		})
	}
}
