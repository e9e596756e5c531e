package inspect_test

import (
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// dies passes a packet through inspection that is lost behind it.
func (w *wire) dies(pkt []byte) {
	w.id++
	w.p.Inspect(&dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: w.id, Time: w.now, Data: pkt}}})
}

// A reset and a SYN that never reach the server change nothing there, and nothing here,
// however long it is silent.
func TestNoNewOctetPassesBehindAResetAndASYNThatDied(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.dies(w.segment(w.client, w.client.snd, packet.RST, nil))
	w.dies(w.segment(w.client, w.client.snd+77, packet.SYN, nil))
	for range 4 {
		w.wait(62e9)
		w.c(message)
		w.wantHeard(w.server, "")
		w.client.snd -= uint32(len(message))
	}
	if n := lost(w, "midstream", "pass"); n != 0 {
		t.Errorf("taken %d times for a connection that was never seen", n)
	}
}

func TestASYNThatDiedKeepsNoKilledServerFromItsReset(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.dies(w.segment(w.client, w.client.snd, packet.ACK, []byte("NOOP\r\n")))
	attack := w.segment(w.client, w.client.snd+6, packet.ACK, []byte("STARTTLS\r\nRSET\r\n"))
	w.put(attack) // the reset that follows is beyond what the server expects
	w.wantFindings("command-injection kill")
	w.server.reset = false
	w.dies(w.segment(w.client, w.client.snd+77, packet.SYN, nil))
	w.send(w.server, packet.ACK, nil) // the challenge of RFC 5961 §3.2
	if !w.server.reset {
		t.Error("the server goes on")
	}
	w.wait(62e9)
	w.c(message)
	if got := w.heard(w.server); strings.Contains(got, "MAIL") {
		t.Errorf("the server heard %q", got)
	}
}

// The port of a connection that is over is free for the next one when both ends say so.
func TestAPortIsUsedAgainAfterEveryEndOfAConnection(t *testing.T) {
	for name, over := range map[string]func(w *wire){
		"reset": func(w *wire) { w.send(w.client, packet.RST, nil) },
		"FIN": func(w *wire) {
			w.send(w.client, packet.FIN|packet.ACK, nil)
			w.client.snd++
			w.server.rcv = w.client.snd
			w.send(w.server, packet.FIN|packet.ACK, nil)
			w.server.snd++
			w.client.rcv = w.server.snd
			w.send(w.client, packet.ACK, nil)
		},
		"kill": func(w *wire) { w.c("STARTTLS\r\nRSET\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			offered(w)
			over(w)
			w.heard(w.client)
			w.heard(w.server)
			*w.client = end{addr: w.client.addr, snd: 5_000_000, ahead: map[uint32][]byte{}}
			*w.server = end{addr: w.server.addr, snd: 9_000_000, ahead: map[uint32][]byte{}}
			w.open()
			offered(w)
			w.c("NOOP\r\n")
			w.wantHeard(w.server, "NOOP\r\n")
			if n := len(w.rec.flows); n != 1 {
				t.Errorf("%d flows have ended, want the first", n)
			}
		})
	}
}

// inTLS brings a session to where nothing more of it is read.
func inTLS(t *testing.T, c setup) *wire {
	w := newWire(t, c)
	offered(w)
	hello, answer := hellos(t)
	const data = "\x17\x03\x03\x00\x03abc"
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(hello)
	w.s(answer + data)
	w.c(data)
	w.send(w.server, packet.ACK, nil)
	w.send(w.client, packet.ACK, nil)
	w.heard(w.server)
	w.heard(w.client)
	return w
}

// Nobody who does not see a session in TLS can end it here.
func TestAForgedEndOfASessionInTLSEndsNothing(t *testing.T) {
	const data = "\x17\x03\x03\x00\x03xyz"
	for name, forged := range map[string]packet.Flags{"RST": packet.RST, "FIN": packet.FIN | packet.ACK} {
		t.Run(name, func(t *testing.T) {
			w := inTLS(t, setup{})
			for _, far := range []uint32{1, 5000, 500_000_000, 1 << 31} {
				w.dies(w.segment(w.client, w.client.snd+far, forged, nil))
				w.dies(w.segment(w.server, w.server.snd+far, forged, nil))
			}
			w.dies(w.segment(w.client, w.client.snd+1000, packet.SYN, nil))
			w.wait(100e9)
			w.c(data)
			w.s(data)
			w.wantHeard(w.server, data)
			w.wantHeard(w.client, data)
			if n := len(w.rec.flows); n != 0 {
				t.Errorf("%d flows have ended", n)
			}
			if n := lost(w, "midstream", "pass"); n != 0 {
				t.Errorf("taken %d times for a connection that was never seen", n)
			}
			w.send(w.client, packet.RST, nil)
			w.wantOutcomeOnly("upgraded")
		})
	}
}

func (w *wire) wantOutcomeOnly(outcome string) {
	w.t.Helper()
	if n := len(w.rec.flows); n != 1 || w.rec.flows[0].Outcome.String() != outcome {
		w.t.Errorf("flows %v, want one, %s", w.rec.flows, outcome)
	}
}

// Packets that overlap behind a hole may not add up to more than a direction may keep.
func TestWhatASessionHoldsIsBounded(t *testing.T) {
	const size = 59_000
	w := newWire(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}, limits: inspect.Limits{Flows: 10, Memory: 64 << 20, FlowMemory: 256 << 10}})
	upToOffer(w)
	text := []byte(strings.Repeat("x", size+60))
	held := 0
	for i := range uint32(60) {
		if w.put(w.segment(w.client, w.client.snd+100-i, packet.ACK, text[:size+int(i)])) == verdict.Hold {
			held++
		}
	}
	if n := w.p.Lent(); held == 0 || n > 512<<10 {
		t.Errorf("%d octets lent, %d packets held", n, held)
	}
}
