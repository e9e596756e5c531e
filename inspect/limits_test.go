package inspect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/reassembly"
	"keepword/inspect/verdict"
)

// punch makes n runs of one octet behind as many holes, in mail data.
func punch(w *wire, n int) (last verdict.Kind) {
	for i := range n {
		last = w.put(w.segment(w.client, w.client.snd+uint32(1+2*i), packet.ACK, []byte("x")))
	}
	return last
}

func TestTooManyHolesEndTheConnectionOrTheSegmentAsConfigured(t *testing.T) {
	with := func(a verdict.Action) setup {
		return setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.TooManyHoles: a}}}
	}
	for name, c := range map[string]struct {
		setup
		kind  verdict.Kind
		found []string
		reset bool
	}{
		"the default": {setup{}, verdict.Drop, []string{"too-many-holes kill"}, true},
		"log":         {with(verdict.Log), verdict.Drop, []string{"too-many-holes log"}, false},
		"observe":     {setup{policy: policy.Config{Mode: verdict.Observe}}, verdict.Accept, []string{"too-many-holes log"}, false},
		"replay":      {setup{passive: true}, verdict.Accept, []string{"too-many-holes log"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, c.setup)
			upToData(w)
			if k := punch(w, reassembly.MaxHoles); k != verdict.Accept {
				t.Fatalf("the last that may be: %v, want accept", k)
			}
			w.wantFindings()
			at := w.client.snd
			if k := w.put(w.segment(w.client, at+uint32(1+2*reassembly.MaxHoles), packet.ACK, []byte("x"))); k != c.kind {
				t.Errorf("one more: %v, want %v", k, c.kind)
			}
			w.wantFindings(c.found...)
			if w.client.reset != c.reset || w.server.reset != c.reset {
				t.Errorf("reset: client %v, server %v; want %v", w.client.reset, w.server.reset, c.reset)
			}
			if name != "log" {
				return
			}
			all := strings.Repeat("-", 2*reassembly.MaxHoles+2) // its sender fills the holes and repeats it
			w.put(w.segment(w.client, at, packet.ACK, []byte(all)))
			if got, want := w.heard(w.server), strings.Repeat("-x", reassembly.MaxHoles)+"--"; got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		})
	}
}

// A hole that was delivered unseen is a loss that policy answers.
func TestAGapIsAnsweredAsConfigured(t *testing.T) {
	kill := map[verdict.Finding]verdict.Action{verdict.Gap: verdict.Kill}
	for name, c := range map[string]struct {
		config policy.Config
		found  string
		reset  bool
	}{
		"log":                       {policy.Config{}, "gap log", false},
		"kill":                      {policy.Config{Actions: kill}, "gap kill", true},
		"where TLS is required":     {policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}, "gap kill", true},
		"where the offer is hidden": {policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}, "gap kill", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{policy: c.config})
			w.s(greeting)
			w.c(ehlo)
			w.s("250 mx.example\r\n")
			w.put(w.segment(w.client, w.client.snd+6, packet.ACK, []byte("NOOP\r\n")))
			w.server.rcv += 6 // it has what we have not
			w.send(w.server, packet.ACK, nil)
			w.wantFindings(c.found)
			if w.client.reset != c.reset || w.server.reset != c.reset {
				t.Errorf("reset: client %v, server %v; want %v", w.client.reset, w.server.reset, c.reset)
			}
			when := "pass"
			if c.reset {
				when = "kill"
			}
			if n := lost(w, "gap", when); n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
}

// Where there is no memory to hold a packet in, it is dropped, and its sender repeats it.
func TestWithoutMemoryNothingIsHeldAndNothingIsLost(t *testing.T) {
	w := newWitness(t, setup{limits: inspect.Limits{Flows: 10, Memory: 2 << 10, FlowMemory: 128 << 10}})
	upToOffer(w.wire)
	for range 3 { // the stream's own octets take all there is
		if k := w.pass(w.segment(w.client, w.client.snd+6, packet.ACK, []byte("RSET\r\n")), false); k != verdict.Drop {
			t.Errorf("%v, want drop", k)
		}
	}
	w.pass(w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n")), false)
	w.pass(w.segment(w.client, w.client.snd+6, packet.ACK, []byte("RSET\r\n")), false)
	w.wantHeard(w.server, "NOOP\r\nRSET\r\n")
}

// What is neither TCP nor IP, or of no inspected port, is none of ours.
func TestWhatIsNotOfTheInspectedPortsPasses(t *testing.T) {
	w := newWire(t, setup{})
	udp := w.segment(w.client, 1, packet.ACK, nil)
	udp[9] = 17
	other := packet.Segment{Version: 4, Src: version4[0].Addr().As16(), Dst: version4[1].Addr().As16(),
		SrcPort: 40000, DstPort: 80, Flags: packet.ACK, Payload: []byte("GET / HTTP/1.0\r\n"), HopLimit: 64}
	backwards := other // a SYN from port 25: the client of another service
	backwards.SrcPort, backwards.Flags, backwards.Payload = 25, packet.SYN, nil
	for name, pkt := range map[string][]byte{
		"UDP": udp, "no IP": {0x55, 1, 2, 3}, "nothing": {},
		"another port": other.Append(nil), "a client that uses port 25": backwards.Append(nil),
	} {
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
		w.p.Inspect(&b)
		if k := b.Packets[0].Verdict; k != verdict.Accept {
			t.Errorf("%s: %v, want accept", name, k)
		}
	}
	if s := w.p.Stats(); s.Opening+s.Open+s.Ended != 1 {
		t.Errorf("sessions: %+v", s)
	}
}

// Open sessions take up the actions of a new policy with the next batch, new ones all of
// it, and new connections the new ports.
func TestANewPolicyAndNewPortsHoldFromTheNextBatchOn(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.p.SetPolicy(policy.New(policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.AnsweredForServer: verdict.Kill}}))
	w.p.SetPorts([]uint16{587})
	w.c("STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantFindings("answered-for-server kill")
	w.again(41000) // to port 25, which is inspected no more
	before := w.p.Stats().Opening
	w.send(w.client, packet.SYN, nil)
	if n := w.p.Stats().Opening; n != before {
		t.Errorf("%d sessions opening, were %d", n, before)
	}
}

// A packet of keepword's own has the timestamps that its receiver expects, whichever
// side the packet at hand came from (RFC 7323 §3.2: one without is dropped).
func TestAFarewellHasTheTimestampsOfItsConnection(t *testing.T) {
	for _, fromClient := range []bool{true, false} {
		w := newWire(t, setup{})
		w.again(41000)
		w.shake(timestamps(1000, 0), timestamps(5000, 1000))
		upToOffer(w)
		w.c("STARTTLS\r\n")
		pkt := w.optioned(w.client, w.client.snd, packet.ACK, timestamps(1001, 5001), []byte("RSET\r\n"))
		if !fromClient {
			w.s("454 no\r\n")
			pkt = w.optioned(w.server, w.server.snd, packet.ACK, timestamps(5001, 1001), []byte("220 go\r\n"))
		}
		w.now += 1e6
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
		w.p.Inspect(&b)
		told := 0
		for _, own := range b.Injected {
			var v packet.View
			packet.Parse(own, &v)
			if len(v.Payload) == 0 {
				continue
			}
			told++
			o, ok := packet.ParseOptions(v.Options)
			if !ok || !o.HasTimestamp || o.TSVal != 5001 || o.TSEcr != 1001 || v.SrcPort != 25 {
				t.Errorf("from client %v: from port %d, options %+v", fromClient, v.SrcPort, o)
			}
		}
		if told != 1 {
			t.Errorf("from client %v: %d farewells; findings %q", fromClient, told, w.rec.ids())
		}
	}
}

// A reset of a connection that keepword has ended goes on to its receiver.
func TestAResetOfAKilledConnectionPasses(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.c("STARTTLS\r\nRSET\r\n")
	if !w.client.reset {
		t.Fatal("not ended")
	}
	if k := w.send(w.client, packet.RST, nil); k != verdict.Accept {
		t.Errorf("%v, want accept", k)
	}
}

// In mail data a segment with a FIN may go ahead of a hole, but the FIN may not: a receiver
// would count it in the place of an octet that is still to come.
func TestASegmentAheadOfAHoleGoesWithoutItsFIN(t *testing.T) {
	w := newWire(t, setup{})
	upToData(w)
	w.fins = 0
	if k := w.put(w.segment(w.client, w.client.snd+6, packet.ACK|packet.FIN, []byte("last\r\n"))); k != verdict.Replace {
		t.Errorf("%v, want replace", k)
	}
	w.put(w.segment(w.client, w.client.snd, packet.ACK, []byte("first\n")))
	w.wantHeard(w.server, "first\nlast\r\n")
	if w.fins != 0 {
		t.Error("the FIN went ahead")
	}
	w.put(w.segment(w.client, w.client.snd+6, packet.ACK|packet.FIN, []byte("last\r\n"))) // its sender repeats it
	if w.fins != 1 {
		t.Errorf("%d FINs left when all was there", w.fins)
	}
}

// listener is a Tap that puts together what each direction's receiver is to get: what was
// inspected, with the edits laid over it.
type listener struct {
	inspected [2][]byte
	places    [2]map[uint32]byte
}

func (l *listener) Inspected(_ inspect.Endpoints, toServer bool, octets []byte) {
	l.inspected[index(toServer)] = append(l.inspected[index(toServer)], octets...)
}

func (l *listener) Edited(_ inspect.Endpoints, toServer bool, at uint32, octets []byte) {
	for i, c := range octets {
		l.places[index(toServer)][at+uint32(i)] = c
	}
}

func (l *listener) wants(toServer bool) string {
	b := slices.Clone(l.inspected[index(toServer)])
	for at, c := range l.places[index(toServer)] {
		if int(at) < len(b) {
			b[at] = c
		}
	}
	return string(b)
}

func TestTheTapIsToldWhatTheReceiversGet(t *testing.T) {
	for _, sc := range scenes {
		for _, cut := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("%s/cut=%d", sc.name, cut), func(t *testing.T) {
				tap := &listener{places: [2]map[uint32]byte{{}, {}}}
				w := newWire(t, setup{policy: sc.config, cut: cut})
				w.again(41000)
				w.p = inspect.New(inspect.Config{
					Policy: policy.New(sc.config), Ports: []uint16{25}, Sink: w.rec, Tap: tap,
					Limits: inspect.Limits{Flows: 10, Memory: 16 << 20, FlowMemory: 256 << 10},
				})
				w.shake(nil, nil)
				for _, turn := range sc.turns {
					if turn.fromClient {
						w.c(turn.text)
					} else {
						w.s(turn.text)
					}
				}
				if w.client.reset {
					t.Fatal("the connection was ended")
				}
				if got, want := w.heard(w.client), tap.wants(false); got != want {
					t.Errorf("the client heard %q, inspected was %q", got, want)
				}
				if got, want := w.heard(w.server), tap.wants(true); got != want {
					t.Errorf("the server heard %q, inspected was %q", got, want)
				}
			})
		}
	}
}
