package inspect_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

const (
	greeting = "220 mx.example ESMTP\r\n"
	ehlo     = "EHLO client.example\r\n"
	offers   = "250-mx.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	message  = "MAIL FROM:<a@example>\r\n"
)

// everyCut runs a test with whole segments, one octet a segment and some between, over
// IPv4 and IPv6, and across the wrap of the sequence numbers.
func everyCut(t *testing.T, c setup, f func(t *testing.T, w *wire)) {
	t.Helper()
	for _, cut := range []int{0, 1, 2, 3, 7, 13} {
		for i, ends := range [][2]netip.AddrPort{version4, version6} {
			for _, isn := range []uint32{1, 1<<32 - 1010} {
				t.Run(fmt.Sprintf("cut=%d,ip=%d,isn=%d", cut, 4+2*i, isn), func(t *testing.T) {
					c.cut, c.ends, c.isn = cut, ends, isn
					f(t, newWire(t, c))
				})
			}
		}
	}
}

// hellos are a real ClientHello and ServerHello.
func hellos(t testing.TB) (client, server string) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(a, &tls.Config{ServerName: "mx.example", InsecureSkipVerify: true}).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	io.ReadFull(b, body)
	b.Close()
	sh := []byte{2, 0, 0, 38 + 6, 3, 3}
	sh = append(sh, make([]byte, 32)...)
	sh = append(sh, 0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4)
	sh[3] = byte(len(sh) - 4)
	rec := append([]byte{22, 3, 3, 0, byte(len(sh))}, sh...)
	return string(head) + string(body), string(rec)
}

func TestAnHonestUpgradePassesUntouched(t *testing.T) {
	ch, sh := hellos(t)
	app := "\x17\x03\x03\x00\x03abc"
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		for _, step := range []struct {
			from *end
			text string
		}{
			{w.server, greeting}, {w.client, ehlo}, {w.server, offers}, {w.client, "STARTTLS\r\n"},
			{w.server, "220 2.0.0 Ready\r\n"}, {w.client, ch}, {w.server, sh}, {w.client, app}, {w.server, app + app},
			{w.client, "\x17\x03\x03\x00\x01x"},
		} {
			w.say(step.from, step.text)
			w.wantHeard(w.peer(step.from), step.text)
		}
		w.close()
		w.wantFindings()
		w.wantOutcome(starttls.OutcomeUpgraded, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered,
			starttls.StepClientHello, starttls.StepServerHello)
		f := w.rec.flows[0]
		if f.SNI != "mx.example" || f.TLSVersion != tls.VersionTLS13 || f.HELO != "client.example" || f.ReplyCode != 220 || f.State != inspect.FlowClosed {
			t.Errorf("record %+v", f)
		}
	})
}

func TestAFalseAcceptanceBecomesARefusal(t *testing.T) {
	for _, answer := range []struct{ sent, whole, finding string }{
		{"250 OK\r\n", "454 No\r\n", "answered-for-server correct"},
		{"200\r\n", "454\r\n", "answered-for-server correct"},
		{"250 2.0.0 Whatever this box has to say about it\r\n", "454 4.7.0 TLS not available                    \r\n", "answered-for-server correct"},
		{"334 go on\r\n", "454 No   \r\n", "unfit-answer correct"},
		{"hello there\r\n", "454 No     \r\n", "unfit-answer correct"},
		{"250-one\r\n250 two\r\n", "454-No \r\n454 No \r\n", "answered-for-server correct"},
	} {
		t.Run(answer.sent, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.c("STARTTLS\r\n")
				w.heard(w.client)
				w.s(answer.sent)
				got := w.heard(w.client)
				if len(got) != len(answer.sent) {
					t.Fatalf("heard %q, of another length", got)
				}
				if w.cut == 0 && got != answer.whole {
					t.Errorf("heard %q, want %q", got, answer.whole)
				}
				for _, line := range strings.SplitAfter(strings.TrimSuffix(got, "\r\n"), "\r\n") {
					if !strings.HasPrefix(line, "454") {
						t.Errorf("line %q", line)
					}
				}
				w.c(message)
				w.s("250 2.1.0 Ok\r\n")
				w.wantHeard(w.client, "250 2.1.0 Ok\r\n")
				w.wantFindings(answer.finding)
				w.wantOutcome(starttls.OutcomeCorrected, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepCorrected)
			})
		})
	}
}

func TestARetransmissionIsEditedAlike(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.heard(w.client)
	seq := w.server.snd
	w.send(w.server, 0x18, []byte("250 OK\r\n"))
	w.wantHeard(w.client, "454 No\r\n")
	w.client.rcv -= 8 // it was lost behind us
	w.put(w.segment(w.server, seq, 0x18, []byte("250 OK\r\n")))
	w.wantHeard(w.client, "454 No\r\n")
	w.client.rcv -= 5
	w.put(w.segment(w.server, seq+3, 0x18, []byte(" OK\r\n")))
	w.wantHeard(w.client, " No\r\n")
	w.wantFindings("answered-for-server correct")
}

func TestHoldingNeverOutlastsItsTime(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.heard(w.client)
	w.send(w.server, 0x18, []byte("2"))
	w.server.snd++
	w.wantHeard(w.client, "")
	w.wait(250e6)
	w.wantHeard(w.client, "2")
	w.s("50 OK\r\n")
	w.wantHeard(w.client, "")
	if !w.client.reset || !w.server.reset {
		t.Error("an acceptance that can't be corrected any more was let through")
	}
	w.wantFindings("answered-for-server kill")
}

func TestTheOfferIsHidden(t *testing.T) {
	hide := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	for _, c := range []struct{ sent, want string }{
		{"250-mx.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n", "250-mx.example              \r\n250-PIPELINING\r\n250 8BITMIME\r\n"},
		{"250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n", "250-mx.example              \r\n250 PIPELINING\r\n"},
		{"250-mx.example\r\n250 starttls\r\n", "250 mx.example              \r\n"},
		{"250-mx.example hi\r\n250-STARTTLS\r\n250-STARTTLS\r\n250 SIZE\r\n", "250-mx.example hi                            \r\n250 SIZE\r\n"},
		{"250-mx.example hi\r\n250-STARTTLS\r\n250 STARTTLS\r\n", "250 mx.example hi                            \r\n"},
		{"250-mx.example\r\n250- STARTTLS\r\n250 8BITMIME\r\n", "250-mx.example               \r\n250 8BITMIME\r\n"},
		{"220-mx.example\r\n220-STARTTLS\r\n220 8BITMIME\r\n", "220-mx.example              \r\n220 8BITMIME\r\n"},
	} {
		t.Run(c.sent, func(t *testing.T) {
			everyCut(t, hide, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.heard(w.client)
				w.s(c.sent)
				got := w.heard(w.client)
				if len(got) != len(c.sent) {
					t.Errorf("heard %q, of another length than %q", got, c.sent)
				}
				if strings.Contains(strings.ToUpper(got), "STARTTLS") {
					t.Errorf("heard %q", got)
				}
				if w.cut == 0 && got != c.want {
					t.Errorf("heard\n%q, want\n%q", got, c.want)
				}
				w.heard(w.server)
				w.c("STARTTLS\r\n")
				if got := w.heard(w.server); strings.EqualFold(got, "STARTTLS\r\n") || len(got) != len("STARTTLS\r\n") {
					t.Errorf("the server heard %q", got)
				}
				w.s("250 2.0.0 Ok\r\n")
				if got := w.heard(w.client); !strings.HasPrefix(got, "502 ") {
					t.Errorf("heard %q in answer to a hidden STARTTLS", got)
				}
				w.c(message)
				w.wantHeard(w.server, message)
				w.s("250 2.1.0 Ok\r\n")
				w.wantHeard(w.client, "250 2.1.0 Ok\r\n")
				w.wantFindings("starttls-not-offered refuse")
				w.wantOutcome(starttls.OutcomeHidden, starttls.StepOffered, starttls.StepHidden, starttls.StepAsked)
			})
		})
	}
}

func TestMailInClearIsRefusedWhereTLSIsRequired(t *testing.T) {
	require := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}}
	for _, command := range []string{message, "AUTH PLAIN AGEAYg==\r\n", "mail from:<>\r\n"} {
		t.Run(command, func(t *testing.T) {
			everyCut(t, require, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.heard(w.client)
				w.heard(w.server)
				w.c(command)
				got := w.heard(w.server)
				verb := strings.ToUpper(got)
				if len(got) != len(command) || strings.HasPrefix(verb, "MAIL ") && strings.TrimSpace(got) != got[:4] || strings.HasPrefix(verb, "AUTH ") && strings.TrimSpace(got) != got[:4] {
					t.Errorf("the server heard %q", got)
				}
				w.s("250 2.0.0 Ok\r\n")
				if got := w.heard(w.client); !strings.HasPrefix(got, "530 ") || strings.Contains(got, "Ok") || len(got) != len("250 2.0.0 Ok\r\n") {
					t.Errorf("heard %q", got)
				}
				w.c("QUIT\r\n")
				w.wantHeard(w.server, "QUIT\r\n")
				w.wantFindings("tls-required refuse")
			})
		})
	}
}

func TestInjectionEndsTheConnection(t *testing.T) {
	ch, _ := hellos(t)
	for _, c := range []struct {
		name    string
		finding string
		play    func(w *wire)
	}{
		{"a command in the same segment", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\nRSET\r\n") }},
		{"a command in the next segment", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.c("NOOP\r\n") }},
		{"part of a command", "command-injection kill", func(w *wire) { w.c("STARTTLS\r\nM") }},
		{"a reply behind the 220", "response-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n250 evil\r\n") }},
		{"a reply after the 220", "response-injection kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n"); w.s("250 evil\r\n") }},
		{"clear text from the client", "plaintext-from-client-after-220 kill", func(w *wire) { w.c("STARTTLS\r\n"); w.s("220 go\r\n"); w.c(message) }},
		{"clear text from the server", "plaintext-from-server-after-220 kill", func(w *wire) {
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s("500 what?\r\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				w.c(ehlo)
				w.s(offers)
				w.heard(w.client)
				w.heard(w.server)
				c.play(w)
				if !w.client.reset || !w.server.reset {
					t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
				}
				for _, evil := range []string{"evil", "RSET", "NOOP", "MAIL", "500"} {
					if bytes.Contains(w.client.got, []byte(evil)) || bytes.Contains(w.server.got, []byte(evil)) {
						t.Errorf("%s came through: %q %q", evil, w.client.got, w.server.got)
					}
				}
				if strings.HasPrefix(c.finding, "command-injection") && !bytes.HasPrefix(w.client.got, []byte("421 4.7.0 ")) {
					t.Errorf("the client heard %q", w.client.got)
				}
				w.wantFindings(c.finding)
				w.p.Flush(w.now)
				if len(w.rec.flows) != 1 || w.rec.flows[0].Outcome != starttls.OutcomeKilled {
					t.Errorf("flows %+v", w.rec.flows)
				}
			})
		})
	}
}

func TestAnEarlyClientHelloWaitsForThe220(t *testing.T) {
	ch, sh := hellos(t)
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.s(greeting)
		w.c(ehlo)
		w.s(offers)
		w.heard(w.server)
		w.c("STARTTLS\r\n" + ch)
		w.wantHeard(w.server, "STARTTLS\r\n")
		w.s("220 go\r\n")
		if w.cut > 0 { // more segments than may be held: the sender repeats them
			seq := w.server.rcv
			rest := ch[int(seq)-int(w.client.snd-uint32(len(ch))):]
			w.put(w.segment(w.client, seq, 0x18, []byte(rest)))
		}
		w.wantHeard(w.server, ch)
		w.s(sh)
		w.wantFindings("early-client-hello hold")
		w.wantOutcome(starttls.OutcomeUpgraded, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered,
			starttls.StepClientHello, starttls.StepServerHello)
	})
}

func TestObservingAltersNothing(t *testing.T) {
	observe := setup{policy: policy.Config{Mode: verdict.Observe, Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	everyCut(t, observe, func(t *testing.T, w *wire) {
		for _, step := range []struct {
			from *end
			text string
		}{
			{w.server, greeting}, {w.client, ehlo}, {w.server, offers}, {w.client, "STARTTLS\r\nRSET\r\n"},
			{w.server, "250 OK\r\n250 OK\r\n"}, {w.client, message},
		} {
			w.say(step.from, step.text)
			w.wantHeard(w.peer(step.from), step.text)
		}
		if w.client.reset || w.server.reset {
			t.Error("reset in mode observe")
		}
		w.wantFindings("command-injection kill", "answered-for-server correct")
		for _, f := range w.rec.findings {
			if f.Mode != verdict.Observe || f.Packet != verdict.Accept {
				t.Errorf("%v: mode %v, packet %v", f.Finding, f.Mode, f.Packet)
			}
		}
	})
}

func TestSilenceAfter220IsLoggedAndThenEnded(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	w.wait(9e9)
	w.wantFindings()
	w.wait(2e9)
	w.wantFindings("silence-after-220 log")
	w.wait(50e9)
	w.wantFindings("silence-after-220 log", "silence-after-220 kill")
	if !w.client.reset || !w.server.reset {
		t.Error("not ended on both sides")
	}
	w.wantOutcome(starttls.OutcomeKilled, starttls.StepOffered, starttls.StepAsked, starttls.StepAnswered, starttls.StepClientHello)
}

func TestFindingsThatOnlyReport(t *testing.T) {
	_, sh := hellos(t)
	ch, _ := hellos(t)
	ask := ehlo
	for _, c := range []struct {
		name    string
		finding []string
		outcome starttls.Outcome
		play    func(w *wire)
	}{
		{"refused for good", []string{"offer-refused log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s("554 Unable to initialize security subsystem\r\n")
		}},
		{"refused for now", []string{"offer-refused-temporarily log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s("454 TLS not available due to temporary reason\r\n")
		}},
		{"too many", []string{"tls-rate-limited log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s("454 4.7.0 Error: too many new TLS sessions from 192.0.2.1\r\n")
		}},
		{"not offered", []string{"starttls-not-offered log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s("250 mx.example\r\n")
			w.c("STARTTLS\r\n")
			w.s("502 5.5.1 no\r\n")
		}},
		{"with a parameter", []string{"starttls-with-parameter log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS now\r\n")
			w.s("501 5.5.4 no\r\n")
		}},
		{"letters behind it", []string{"starttls-malformed log"}, starttls.OutcomeRefused, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLSX\r\n")
			w.s("501 5.5.4 no\r\n")
		}},
		{"a bare LF", []string{"starttls-malformed log"}, starttls.OutcomeBroken, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS\n")
			w.s("220 go\r\n")
		}},
		{"in a transaction", []string{"starttls-in-transaction log"}, starttls.OutcomeBroken, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c(message)
			w.s("250 ok\r\n")
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
		}},
		{"masked", []string{"offer-masked log"}, starttls.OutcomeNotOffered, func(w *wire) {
			w.c(ask)
			w.s("250-mx.example\r\n250-XXXXXXXA\r\n250 SIZE\r\n")
		}},
		{"inconsistent", []string{"offer-inconsistent log"}, starttls.OutcomeNotAsked, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c(ask)
			w.s("250-mx.example\r\n250 SIZE\r\n")
		}},
		{"after authentication", []string{"auth-in-clear log", "auth-before-tls log"}, starttls.OutcomeBroken, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("AUTH LOGIN\r\n")
			w.s("334 VXNlcm5hbWU6\r\n")
			w.c("U1RBUlRUTFM=\r\n")
			w.s("334 UGFzc3dvcmQ6\r\n")
			w.c("STARTTLS\r\n") // a line of the exchange
			w.s("235 2.7.0 ok\r\n")
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
		}},
		{"an alert", []string{"handshake-failed log"}, starttls.OutcomeBroken, func(w *wire) {
			w.c(ask)
			w.s(offers)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s("\x15\x03\x03\x00\x02\x02\x28")
		}},
		{"Exchange's verb", nil, starttls.OutcomeUpgraded, func(w *wire) {
			w.c(ask)
			w.s("250-mx.example\r\n250 X-ANONYMOUSTLS\r\n")
			w.c("X-ANONYMOUSTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s(sh)
			w.c("\x17\x03\x03\x00\x03abc")
			w.s("\x17\x03\x03\x00\x03abc")
		}},
		{"a surplus reply", []string{"surplus-reply log"}, starttls.OutcomeNotOffered, func(w *wire) { w.s("250 what\r\n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				w.s(greeting)
				c.play(w)
				if c.outcome == starttls.OutcomeBroken && len(c.finding) > 0 && c.finding[len(c.finding)-1] != "handshake-failed log" {
					c.finding = append(c.finding[:len(c.finding):len(c.finding)], "handshake-failed log")
				}
				w.close()
				w.wantFindings(c.finding...)
				w.p.Flush(w.now)
				if got := w.rec.flows[0].Outcome; got != c.outcome {
					t.Errorf("outcome %v, want %v", got, c.outcome)
				}
			})
		})
	}
}

func TestAConnectionThatEndsWhileItIsReadIsReadNoFurther(t *testing.T) {
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.s(greeting)
		w.c(ehlo)
		w.s(offers)
		w.c("DATA\r\nSTARTTLS\r\nRSET\r\n")
		w.s("503 5.5.1 no\r\n220 go\r\n")
		if !w.client.reset {
			t.Error("not ended")
		}
		w.wantFindings("command-injection kill")
	})
}

func TestOneAnswerIsOneFinding(t *testing.T) {
	for _, mode := range []verdict.Mode{verdict.Enforce, verdict.Observe} {
		for answer, finding := range map[string]string{
			"250-one\r\n250 two\r\n":  "answered-for-server correct",
			"220-one\r\n250 two\r\n":  "unfit-answer kill",
			"250-one\r\n220 two\r\n":  "unfit-answer kill",
			"454-one\r\n220 two\r\n":  "unfit-answer kill",
			"220-one\r\n220 two\r\n":  "",
			"354-one\r\n354 more\r\n": "unfit-answer correct",
		} {
			t.Run(mode.String()+" "+answer, func(t *testing.T) {
				everyCut(t, setup{policy: policy.Config{Mode: mode}}, func(t *testing.T, w *wire) {
					w.s(greeting)
					w.c(ehlo)
					w.s(offers)
					w.c("STARTTLS\r\n")
					w.s(answer)
					if finding == "" {
						w.wantFindings()
					} else {
						w.wantFindings(finding)
					}
				})
			})
		}
	}
}

func TestAClientsQUITAfterTheServerClosedIsNoClearTextForIt(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.send(w.server, packet.FIN|packet.ACK, nil)
	w.server.snd++
	w.client.rcv++
	w.c("QUIT\r\n")
	w.close()
	w.wantFindings("handshake-failed log")
}

func TestImplicitTLSPassesWithoutAFinding(t *testing.T) {
	ch, sh := hellos(t)
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.c(ch)
		w.wantHeard(w.server, ch)
		w.s(sh)
		w.wantHeard(w.client, sh)
		w.wantFindings()
		w.wantOutcome(starttls.OutcomeUpgraded, starttls.StepClientHello, starttls.StepServerHello)
	})
}
