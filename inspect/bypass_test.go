package inspect_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// A SYN takes the place of a session that a reset ended, and one that nobody answers is
// forgotten after a minute, not an hour. The SYN needs not even leave: one with octets is
// dropped.
func TestASYNBehindAResetDoesNotShortenTheHour(t *testing.T) {
	for name, end := range map[string]func(w *wire){
		"of the client": func(w *wire) { w.dies(w.segment(w.client, w.client.snd, packet.RST, nil)) },
		"of ours": func(w *wire) {
			// Octets that die behind us: our reset is not where the server expects one.
			w.dies(w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte("NOOP\r\n")))
			w.dies(w.segment(w.client, w.client.snd+6, packet.ACK|packet.PSH, []byte("STARTTLS\r\nRSET\r\n")))
		},
	} {
		for _, octets := range []string{"", "x"} {
			t.Run(name+fmt.Sprintf(", SYN of %d octets", len(octets)), func(t *testing.T) {
				w := newWire(t, setup{})
				upToOffer(w)
				end(w)
				if w.server.reset {
					t.Fatal("the server's connection is over")
				}
				w.heard(w.server)
				w.dies(w.segment(w.client, w.client.snd+1<<20, packet.SYN, []byte(octets)))
				w.send(w.server, packet.ACK, nil) // RFC 5961 §3.2: a challenge ACK for our reset
				w.server.reset = false            // for the test's next step
				w.wait(61e9)
				w.client.snd = w.server.rcv
				w.send(w.client, packet.ACK|packet.PSH, []byte(message))
				w.wantHeard(w.server, "")
			})
		}
	}
}

// What ends an end's reset by challenge ACK must not depend on the client's next SYN.
func TestASYNDoesNotKeepOurResetFromTheServer(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.dies(w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte("NOOP\r\n")))
	w.dies(w.segment(w.client, w.client.snd+6, packet.ACK|packet.PSH, []byte("STARTTLS\r\nRSET\r\n")))
	w.dies(w.segment(w.client, w.client.snd+1<<20, packet.SYN, []byte("x")))
	w.client.rcv = w.server.snd
	w.send(w.server, packet.ACK, nil) // its challenge ACK
	if !w.server.reset {
		t.Error("the server keeps a connection that was killed")
	}
}

// A session in TLS is not read. When its server has forgotten it, another connection of
// the same ports must not be taken for it, whichever of its SYNs the server saw.
func TestNoConnectionPassesForAForgottenOneInTLS(t *testing.T) {
	ch, sh := hellos(t)
	app := "\x17\x03\x03\x00\x03abc"
	for name, syns := range map[string]func(w *wire, first uint32){
		"the same sequence number again": func(w *wire, first uint32) {
			w.client.snd = first
			w.send(w.client, packet.SYN, nil)
		},
		"a later SYN that dies behind us": func(w *wire, first uint32) {
			w.client.snd += 1 << 24
			w.send(w.client, packet.SYN, nil)
			w.dies(w.segment(w.client, w.client.snd+1<<20, packet.SYN, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			first := w.client.snd - 1
			offered(w)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s(sh)
			w.c(app)
			w.s(app + app)
			w.send(w.server, packet.FIN|packet.ACK, nil) // the server closes
			w.server.snd++
			w.client.rcv++
			w.send(w.client, packet.ACK, nil) // and forgets it after tcp_fin_timeout
			w.wait(61e9)
			w.heard(w.client)
			w.heard(w.server)

			w.server.snd += 1 << 25
			syns(w, first)
			w.client.rcv, w.server.rcv = w.server.snd+1, w.client.snd+1
			if w.send(w.server, packet.SYN|packet.ACK, nil) == verdict.Drop {
				return // its client never learns what to acknowledge
			}
			w.client.snd++
			w.server.snd++
			w.client.closed, w.server.closed = false, false
			w.send(w.client, packet.ACK, nil)
			w.s(greeting)
			w.c(ehlo)
			w.s(offers)
			w.heard(w.client)
			w.c("STARTTLS\r\n")
			w.s("250 OK\r\n")
			if got := w.heard(w.client); got == "250 OK\r\n" {
				t.Errorf("a new connection in clear text passes unread: the client heard %q", got)
			}
		})
	}
}

// A server with SYN cookies keeps no state of what it answered. What it answers is
// followed, or its client never learns what to acknowledge.
func TestTheAnswerToAnEarlierSYNNeverArrives(t *testing.T) {
	w := newWire(t, setup{})
	w.again(42000)
	w.send(w.client, packet.SYN, nil)
	w.dies(w.segment(w.client, w.client.snd+1<<20, packet.SYN, nil))
	if k := w.send(w.server, packet.SYN|packet.ACK, nil); k != verdict.Drop {
		t.Errorf("%v, want drop", k)
	}
	if !w.server.reset {
		t.Error("the server waits on for a client that has given up")
	}
}

// Postfix (smtpd_token.c, ISSPACE) cuts a command at any white space of C, and
// (smtp_stream.c) takes all CRs before the LF off a line.
func TestMAILIsRefusedBehindAnyBlankThatEndsAVerb(t *testing.T) {
	for _, command := range []string{"MAIL\vFROM:<a@example>\r\n", "MAIL\fFROM:<a@example>\r\n", "MAIL\rFROM:<a@example>\r\n", "AUTH\vPLAIN AGEAYg==\r\n"} {
		t.Run(fmt.Sprintf("%q", command), func(t *testing.T) {
			w := newWire(t, setup{policy: requireTLS})
			offered(w)
			w.c(command)
			if got := w.heard(w.server); !w.client.reset && (strings.Contains(got, "example") || strings.Contains(got, "AGE")) {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}

func TestInjectionBehindSTARTTLSInAnySpellingThatServersTake(t *testing.T) {
	for _, command := range []string{"STARTTLS\r\r\n", "STARTTLS\v\r\n", "STARTTLS\x00\r\n"} {
		t.Run(fmt.Sprintf("%q", command), func(t *testing.T) {
			w := newWire(t, setup{})
			offered(w)
			w.c(command + "RSET\r\n")
			w.s("220 go\r\n")
			if !w.client.reset {
				t.Errorf("RSET went with %q, and nothing was found but %q", command, w.rec.ids())
			}
		})
	}
}

func TestMailDataIsReadAsSuchBehindDATAInAnySpellingThatServersTake(t *testing.T) {
	for data, found := range map[string][]string{"DATA\r\r\n": {"bare-newline log"}, "DATA\v\r\n": nil, "DATA\x00\r\n": {"nul-octet log"}} {
		t.Run(fmt.Sprintf("%q", data), func(t *testing.T) {
			w := newWire(t, setup{})
			offered(w)
			w.c(message)
			w.s("250 Ok\r\n")
			w.c("RCPT TO:<b@example>\r\n")
			w.s("250 Ok\r\n")
			w.c(data)
			w.s("354 go\r\n")
			w.heard(w.server)
			const text = "Hello\r\nSTARTTLS\r\nRSET\r\n.\r\n"
			w.c(text)
			w.wantHeard(w.server, text)
			w.wantFindings(found...)
		})
	}
}

// Linux before 6.7, and any kernel built without TCP_AO, passes over that option, and
// takes part in Multipath TCP. Its keys are then not checked in the third segment, and
// the client's DSS options put octets of the stream in another order.
func TestMultipathIsTakenOffASYNThatTheClientAloneSigns(t *testing.T) {
	capable := []byte{30, 4, 1, 0x81}
	w := newWire(t, setup{})
	w.again(41000)
	left := w.shake(append([]byte{29, 4, 0, 0}, capable...), capable)
	if left[0] != nil && bytes.Contains(left[0], capable) {
		t.Errorf("the client's SYN left as %x: its server believes in Multipath TCP", left[0])
	}
}

// docs/configuration.md: flow_memory bounds the octets kept for one session, what is held
// included.
func TestWhatIsHeldKeepsToTheMemoryOfItsSession(t *testing.T) {
	const flowMemory = 256 << 10
	w := newWire(t, setup{limits: inspect.Limits{Flows: 10, Memory: 64 << 20, FlowMemory: flowMemory}})
	offered(w)
	big := bytes.Repeat([]byte("x"), 60000)
	for i := range 64 { // behind a hole, each reaching an octet beyond the one before
		w.put(w.segment(w.client, w.client.snd+1+uint32(i), packet.ACK, big))
	}
	if lent := w.p.Lent(); lent > flowMemory {
		t.Errorf("one session keeps %d octets, of at most %d", lent, flowMemory)
	}
}

// A path over two links of different delay brings every second segment first. With an MSS
// of 536 (RFC 9293 §3.7.1: the default) a window of the 128 KiB that keepword allows has
// room for 122 holes.
func TestALawfulSenderOverTwoLinksIsNotKilled(t *testing.T) {
	const mss = 536
	w := newWire(t, setup{})
	offered(w)
	w.c(message)
	w.s("250 Ok\r\n")
	w.c("RCPT TO:<b@example>\r\n")
	w.s("250 Ok\r\n")
	w.c("DATA\r\n")
	w.s("354 go\r\n")
	text := bytes.Repeat([]byte("Lawful text of a mail.\r\n"), (128<<10-mss)/24)
	for _, odd := range []int{1, 0} {
		for i := odd; i*mss < len(text); i += 2 {
			w.put(w.segment(w.client, w.client.snd+uint32(i*mss), packet.ACK, text[i*mss:min((i+1)*mss, len(text))]))
		}
	}
	if w.client.reset || w.server.reset {
		t.Errorf("killed: %q", w.rec.ids())
	}
}

// The first octet of TLS, or of what pretends to be, moves the session to its handshake.
// What else is in that packet must be read there before it goes.
func TestWhatFollowsTheFirstOctetOfTLSIsReadBeforeItGoes(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	w.send(w.client, packet.ACK|packet.PSH, []byte("\x16\x03\x01\x00\x05\x01aaaa\r\nEHLO x\r\n"+message+"RCPT TO:<b@example>\r\n"))
	w.wantHeard(w.server, "")
	if len(w.rec.findings) == 0 {
		t.Error("nothing was found")
	}
}

// A positive reply to TURN ends the dialogue, whatever its code.
func TestTURNIsARoleSwapWhateverItsPositiveCode(t *testing.T) {
	for _, reply := range []string{"235 ok\r\n", "250 ok\r\n"} {
		t.Run(reply, func(t *testing.T) {
			w := newWire(t, setup{})
			offered(w)
			w.c("TURN\r\n")
			w.s(reply)
			w.heard(w.server)
			w.c("STARTTLS\r\nRSET\r\n")
			got := w.heard(w.server)
			if lost := w.p.Stats().Lost; got != "" && len(w.rec.findings) == 0 && len(lost) == 0 {
				t.Errorf("the server heard %q, which nobody read, and nothing tells", got)
			}
		})
	}
}

// A load balancer tells its server who the client is in a line before the greeting, which
// no reply answers (HAProxy's PROXY protocol; Postfix: smtpd_upstream_proxy_protocol).
func TestALineOfThePROXYProtocolIsNoCommand(t *testing.T) {
	for name, line := range map[string]string{
		"version 1": "PROXY TCP4 203.0.113.7 198.51.100.25 56324 25\r\n",
		"version 2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc6\x33\x64\x19\xdc\x04\x00\x19",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			w.c(line)
			w.s(greeting)
			w.c(ehlo)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			if w.client.reset || w.server.reset {
				t.Errorf("a lawful session was killed: %q", w.rec.ids())
			}
		})
	}
}

// BenchmarkRetransmissionBehindRefusals is another sending of 1,400 octets behind so many
// refused commands that were not acknowledged. Its cost must not grow with them.
func BenchmarkRetransmissionBehindRefusals(b *testing.B) {
	for _, commands := range []int{100, 4000} {
		b.Run(strconv.Itoa(commands), func(b *testing.B) {
			w := newWire(b, setup{policy: requireTLS})
			offered(w)
			all := bytes.Repeat([]byte(message), commands)
			const size = 1400
			for at := 0; at < len(all); at += size {
				w.dies(w.segment(w.client, w.client.snd+uint32(at), packet.ACK, bytes.Clone(all[at:min(at+size, len(all))])))
			}
			for b.Loop() {
				w.dies(w.segment(w.client, w.client.snd+uint32(len(all)-size), packet.ACK, bytes.Clone(all[len(all)-size:])))
			}
		})
	}
}

// Octets that are held can't have been acknowledged by their receiver. Where somebody does
// in its name, what is then edited in them must leave edited all the same.
func TestAForgedAcknowledgementOfWhatIsHeldUndoesNoEdit(t *testing.T) {
	for name, c := range map[string]struct {
		policy.Config
		command string
	}{
		"require": {requireTLS, message},
		"hide":    {policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}, "STARTTLS\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{policy: c.Config})
			offered(w)
			w.c("DATA\r\n")
			w.heard(w.server)
			w.send(w.client, packet.ACK|packet.PSH, []byte(c.command)) // waits for the reply to DATA
			w.client.snd += uint32(len(c.command))
			w.wantHeard(w.server, "")
			rcv := w.server.rcv
			w.server.rcv += uint32(len(c.command))
			w.dies(w.segment(w.server, w.server.snd, packet.ACK, nil)) // the client's, in its server's name
			w.server.rcv = rcv
			w.s("503 5.5.1 no\r\n")
			if got := w.heard(w.server); strings.Contains(got, c.command) {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}
