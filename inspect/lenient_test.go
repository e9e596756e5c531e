package inspect_test

import (
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// What policy lets be is followed as far as anybody can.

func letting(f verdict.Finding, a verdict.Action) setup {
	return setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{f: a}}}
}

// After an accepted TURN the server sends and the client receives (RFC 821 §3.8).
func TestWhereTheRolesAreSwappedNothingMoreIsRead(t *testing.T) {
	for _, a := range []verdict.Action{verdict.Log, verdict.Kill} {
		w := newWire(t, letting(verdict.RoleSwap, a))
		upToOffer(w)
		w.c("TURN\r\n")
		w.s("250 ok\r\n")
		w.wantFindings("role-swap " + a.String())
		if w.client.reset != (a == verdict.Kill) || w.server.reset != (a == verdict.Kill) {
			t.Errorf("%v: reset: client %v, server %v", a, w.client.reset, w.server.reset)
		}
		if a == verdict.Kill {
			continue
		}
		w.heard(w.client)
		w.s("STARTTLS\r\n")
		w.wantHeard(w.client, "STARTTLS\r\n")
		w.wantOutcome(starttls.OutcomeUnknown, starttls.StepOffered)
	}
}

func TestEarlyOctetsThatPolicyLetsPassAreNotTakenForTLS(t *testing.T) {
	ch, sh := hellos(t)
	w := newWire(t, letting(verdict.CommandInjection, verdict.Log))
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.c("RSET\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.s(sh)
	w.wantHeard(w.server, "STARTTLS\r\nRSET\r\n"+ch)
	w.wantFindings("command-injection log")
	w.wantOutcome(starttls.OutcomeUpgraded, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello, starttls.StepServerHello)
}

func TestAnAlertIsNamedWhicheverEndSendsIt(t *testing.T) {
	const unknownCA = "\x15\x03\x03\x00\x02\x02\x30"
	ch, sh := hellos(t)
	for _, fromClient := range []bool{true, false} {
		w := newWire(t, setup{})
		upToOffer(w)
		w.c("STARTTLS\r\n")
		w.s("220 go\r\n")
		w.c(ch)
		if fromClient {
			w.s(sh)
			w.c(unknownCA)
		} else {
			w.s(unknownCA)
		}
		w.wantFindings("handshake-failed log")
		if f := w.rec.findings; len(f) == 1 && (f[0].Detail != "unknown_ca" || f[0].ToServer != fromClient) {
			t.Errorf("from client %v: %+v", fromClient, f[0])
		}
	}
}

// A client that begins with TLS, and a server that does not.
func TestClearTextInAnswerToImplicitTLSIsFoundAndLetBe(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, letting(verdict.PlaintextAfterTLS, verdict.Log))
	w.c(ch)
	w.s(greeting)
	w.s("500 what?\r\n")
	w.wantHeard(w.client, greeting+"500 what?\r\n")
	w.wantFindings("plaintext-after-tls log")
}

func TestSilenceThatIsOnlyLoggedIsLoggedOnce(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, letting(verdict.SilenceAfter220, verdict.Log))
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.wait(11e9)
	w.wantFindings("silence-after-220 log")
	w.wait(60e9)
	w.wantFindings("silence-after-220 log")
	if w.client.reset || w.server.reset {
		t.Error("ended")
	}
}

// A client that takes any 2xx for a go-ahead sends its ClientHello into the dialogue.
func TestAClientThatBelievesAFalseAcceptanceIsLetPassWherePolicySaysSo(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, letting(verdict.AnsweredForServer, verdict.Log))
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantHeard(w.client, "250 OK\r\n")
	w.c(ch)
	w.s("500 what?\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n"+ch)
	w.wantFindings("answered-for-server log")
	w.wantOutcome(starttls.OutcomeBroken, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello)
}

// Commands that nobody answers are followed up to a number.
func TestMoreCommandsThanAreFollowedEndTheConnectionOrItsReading(t *testing.T) {
	for _, a := range []verdict.Action{verdict.Kill, verdict.Log} {
		w := newWire(t, letting(verdict.MemoryLimit, a))
		upToOffer(w)
		group := strings.Repeat("NOOP\r\n", 512)
		for range smtp.MaxPending / 512 {
			w.c(group)
		}
		w.wantFindings()
		w.c("NOOP\r\n")
		w.wantFindings("memory-limit " + a.String())
		if w.server.reset != (a == verdict.Kill) || w.client.reset != (a == verdict.Kill) {
			t.Errorf("%v: reset: client %v, server %v", a, w.client.reset, w.server.reset)
		}
		if n := lost(w, "flow_memory", "pass"); (n == 1) != (a == verdict.Log) {
			t.Errorf("%v: lost sight %d times", a, n)
		}
	}
}

// Nothing bounds the sender of a capture: what has been read makes room for what comes,
// acknowledged or not. Only what waits behind a hole is too much at some time.
func TestAReplayReadsWhateverItsSenderHadInFlight(t *testing.T) {
	for _, hole := range []bool{false, true} {
		w := newWire(t, setup{passive: true})
		upToData(w)
		if hole {
			w.client.snd += 5
		}
		piece := strings.Repeat("text of mail data\r\n", 3000)
		for range 8 { // without any acknowledgement
			w.send(w.client, packet.ACK, []byte(piece))
			w.client.snd += uint32(len(piece))
		}
		w.send(w.client, packet.ACK, []byte(".\r\n"))
		w.client.snd += 3
		if hole {
			w.wantFindings("out-of-window log")
			w.server.rcv = w.client.snd // it has it all
			w.send(w.server, packet.ACK, nil)
			w.wantFindings("out-of-window log", "gap log")
			continue
		}
		w.s("250 queued\r\n")
		w.c("STARTTLS\r\n")
		w.s("250 OK\r\n")
		w.wantFindings("answered-for-server correct")
	}
}

// A command of which too much has left, because another policy held when it did, can't be
// taken back: the connection ends.
func TestACommandThatHasLeftWhenItIsToBeRefusedEndsTheConnection(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.c("MAIL FR")
	w.wantHeard(w.server, "MAIL FR")
	w.p.SetPolicy(policy.New(policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}))
	w.c("OM:<a@")
	w.wantHeard(w.server, "")
	if !w.server.reset || !w.client.reset {
		t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
	}
	w.wantFindings("tls-required kill")
}

// The reply to a command that was refused in its server's place must become the refusal.
// One that has not room for a code can't. (A line without any digit is none.)
func TestAReplyThatCannotBecomeARefusalEndsTheConnection(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}})
	upToOffer(w)
	w.c(message)
	w.s("2\r\n")
	if got := w.heard(w.client); strings.HasSuffix(got, "2\r\n") {
		t.Errorf("the client heard %q", got)
	}
	if !w.server.reset || !w.client.reset {
		t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
	}
	w.wantFindings("tls-required refuse", "reply-malformed log", "unfit-answer kill")
}

// RFC 9293 §3.10.7.3: a reset answers a SYN where it acknowledges it.
func TestAResetEndsAnOpeningConnectionOnlyWhereItAcknowledgesTheSYN(t *testing.T) {
	const all = uint32(len(ehlo))
	for name, c := range map[string]struct {
		flags packet.Flags
		off   uint32 // of the acknowledgement, from the SYN's end
		ended bool
	}{
		"of the SYN and its octets": {packet.RST | packet.ACK, all, true},
		"of more":                   {packet.RST | packet.ACK, all + 1, false},
		"of another SYN":            {packet.RST | packet.ACK, ^uint32(0), false},
		"without any":               {packet.RST, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
			w.close()
			w.again(41000)
			w.send(w.client, packet.SYN, []byte(ehlo)) // observed: it passes
			before := len(w.rec.flows)
			w.server.rcv += c.off
			w.send(w.server, c.flags, nil)
			w.server.rcv -= c.off
			if ended := len(w.rec.flows) > before; ended != c.ended {
				t.Fatalf("ended: %v", ended)
			}
			if c.ended {
				if f := w.rec.flows[before]; f.State != inspect.FlowNew || f.Reason != inspect.EndClosed {
					t.Errorf("%v, %v", f.State, f.Reason)
				}
				return
			}
			w.client.snd++
			w.send(w.server, packet.SYN|packet.ACK, nil) // it was nobody's reset
			w.server.snd++
			w.s(greeting)
			w.wantHeard(w.client, greeting)
		})
	}
}

// Observing clears no urgent pointer, and says what enforcing would have done.
func TestObservingLetsUrgentDataBe(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	upToOffer(w)
	if k := w.send(w.client, packet.ACK|packet.URG, []byte("STARTTLS\r\n")); k != verdict.Accept {
		t.Errorf("%v, want accept", k)
	}
	w.wantFindings("urgent-data correct")
}
