package inspect_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// lawful draws a session as RFC 5321 has it, and how it ends.
func lawful(t *rapid.T, ch, sh string) (turns []turn, outcome starttls.Outcome) {
	c := func(s string) { turns = append(turns, turn{true, s}) }
	s := func(s string) { turns = append(turns, turn{false, s}) }
	body := rapid.StringOfN(rapid.SampledFrom([]rune("\r\n.aS ")), 0, 60, -1).Draw(t, "body")
	s(rapid.SampledFrom([]string{greeting, "220-mx.example\r\n220 ready\r\n"}).Draw(t, "greeting"))
	c(ehlo)
	offer := rapid.Bool().Draw(t, "offer")
	outcome = starttls.OutcomeNotOffered
	if offer {
		outcome = starttls.OutcomeNotAsked
		s(offers)
	} else {
		s("250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
	}
	for range rapid.IntRange(0, 2).Draw(t, "mails") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0: // a pipelined group and text that spells a command
			c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n")
			s("250 ok\r\n250 ok\r\n354 go\r\n")
			c(strings.ReplaceAll("STARTTLS\r\n"+body, "\r\n.", "\r\n..") + "\r\n.\r\n")
			s("250 queued\r\n")
		case 1: // refused
			c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n")
			s("250 ok\r\n550 no\r\n503 no\r\n")
			c("RSET\r\n")
			s("250 ok\r\n")
		case 2:
			c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n")
			s("250 ok\r\n250 ok\r\n")
			c(fmt.Sprintf("BDAT %d\r\n%s", len(body)+10, "STARTTLS\r\n"+body))
			s("250 ok\r\n")
			c("BDAT 0 LAST\r\n")
			s("250 queued\r\n")
		case 3:
			c("NOOP\r\n")
			s("250-still\r\n250 ok\r\n")
		}
	}
	if !offer || rapid.Bool().Draw(t, "ask") == false {
		c("QUIT\r\n")
		s("221 bye\r\n")
		return turns, outcome
	}
	c("STARTTLS\r\n")
	if rapid.Bool().Draw(t, "refuse") {
		s("454 not now\r\n")
		c("QUIT\r\n")
		s("221 bye\r\n")
		return turns, starttls.OutcomeRefused
	}
	s(rapid.SampledFrom([]string{"220 go\r\n", "220-get\r\n220 ready\r\n"}).Draw(t, "answer"))
	c(ch)
	s(sh)
	c("\x17\x03\x03\x00\x03abc")
	s("\x17\x03\x03\x00\x03abc\x17\x03\x03\x00\x01x")
	c("\x17\x03\x03\x00\x05abcde")
	return turns, starttls.OutcomeUpgraded
}

func TestALawfulDialogueCompletesUnalteredOverAnyNetwork(t *testing.T) {
	ch, sh := hellos(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetwork(rt, setup{})
		turns, outcome := lawful(rt, ch, sh)
		for _, turn := range turns {
			p := n.speak(turn)
			for i, r := range n.other(p).ears {
				if !bytes.Equal(r.got, p.said) {
					rt.Fatalf("ear %d heard\n %q, said was\n %q", i, r.got, p.said)
				}
			}
		}
		if n.a.reset || n.b.reset {
			rt.Fatal("a lawful session was reset")
		}
		for _, f := range n.rec.findings {
			if f.Action > verdict.Log || f.Finding != verdict.OfferRefusedTemporarily {
				rt.Fatalf("finding %v with action %v", f.Finding, f.Action)
			}
		}
		if len(n.waiting) > 0 {
			rt.Fatalf("%d packets held after all was said", len(n.waiting))
		}
		n.hangUp()
		if len(n.rec.flows) != 1 {
			rt.Fatalf("%d flow records after both said goodbye", len(n.rec.flows))
		}
		n.wantNothingLeft()
		if f := n.rec.flows[0]; len(n.rec.flows) != 1 || f.Outcome != outcome || f.State != inspect.FlowClosed {
			rt.Fatalf("outcome %v, state %v; want %v, closed", f.Outcome, f.State, outcome)
		}
	})
}

// scene is a dialogue in which keepword has something to take away.
type scene struct {
	name   string
	config policy.Config
	turns  []turn // the last one is the reply to what is refused
	// never is what the server must not hear, in upper case.
	never string
}

var scenes = []scene{
	{"a false acceptance", policy.Config{}, []turn{
		{false, greeting}, {true, ehlo}, {false, offers}, {true, "STARTTLS\r\n"}, {false, "250 OK all right\r\n"},
	}, ""},
	{"a false acceptance of two lines", policy.Config{}, []turn{
		{false, greeting}, {true, ehlo}, {false, offers}, {true, "STARTTLS\r\n"}, {false, "250-OK\r\n250 fine\r\n"},
	}, ""},
	{"a hidden offer", policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}, []turn{
		{false, greeting}, {true, ehlo}, {false, offers}, {true, "STARTTLS\r\n"}, {false, "220 go\r\n"},
	}, "STARTTLS\r\n"},
	{"a hidden last line", policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}, []turn{
		{false, greeting}, {true, ehlo}, {false, "250-mx.example\r\n250-SIZE\r\n250 STARTTLS\r\n"}, {true, " starttls\r\n"}, {false, "220 go\r\n"},
	}, "STARTTLS\r\n"},
	{"TLS required", policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}, []turn{
		{false, greeting}, {true, ehlo}, {false, offers}, {true, "MAIL FROM:<a@example>\r\n"}, {false, "250-NOOP\r\n250 OK\r\n"},
	}, "MAIL FROM"},
}

func TestWhatIsTakenAwayStaysAwayOverAnyNetwork(t *testing.T) {
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				n := newNetwork(rt, setup{policy: sc.config})
				var before int
				for _, turn := range sc.turns {
					before = len(n.a.ears[0].got)
					n.speak(turn)
				}
				n.wantOneTruth()
				heard, said := n.a.ears[0].got, n.b.said
				if n.a.reset {
					if !bytes.Contains(heard, []byte("\r\n421 ")) && len(heard) > len(said) {
						rt.Fatalf("ended with %q", heard[before:])
					}
				} else if len(heard) != len(said) {
					rt.Fatalf("heard %q of %q", heard, said)
				}
				for _, line := range strings.SplitAfter(string(heard[before:]), "\n") {
					if len(line) > 2 && (line[0] == '2' || line[0] == '3') {
						rt.Fatalf("the client heard %q in answer to what was refused", heard[before:])
					}
				}
				if strings.Contains(strings.ToUpper(string(n.b.ears[0].got)), sc.never) && sc.never != "" && !n.b.reset {
					rt.Fatalf("the server heard %q", n.b.ears[0].got)
				}
				if sc.never == "STARTTLS\r\n" && strings.Contains(string(heard), "STARTTLS") {
					rt.Fatalf("the client heard %q", heard)
				}
				n.wantNothingLeft()
			})
		})
	}
}

// attack sends something that a lawful end would not.
func (n *network) attack(p *peer) {
	flags := packet.ACK
	at := n.draw("at", p.sent+1)
	length := n.draw("length", 20)
	b := append(bytes.Clone(p.said[at:min(at+length, p.sent)]), "FORGED\r\n"[:n.draw("surplus", 3)]...)
	if len(b) > 0 && n.draw("forge", 2) == 1 {
		b[n.draw("octet", len(b))] ^= 1 << n.draw("bit", 7)
	}
	seq := p.first + uint32(at)
	switch n.draw("kind", 8) {
	case 0:
		flags |= packet.URG
	case 1:
		flags |= packet.RST
		seq += uint32(1 + n.draw("off", 1<<17))
	case 2:
		flags |= packet.FIN
		seq += uint32(1 + n.draw("off", 1<<17))
	case 3:
		seq += uint32(n.draw("off", 1<<30)) // outside the window
	case 4:
		seq -= uint32(n.draw("off", 1<<30))
	case 5:
		flags = packet.SYN
	}
	n.fly(n.segment(p.end, seq, flags, b))
}

func TestNoOverlapReadsDifferentlyAtDifferentReceivers(t *testing.T) {
	ch, sh := hellos(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := setup{}
		if rapid.Bool().Draw(rt, "require") {
			c.policy.Servers = []policy.Server{{StartTLS: policy.Require}}
		}
		n := newNetwork(rt, c)
		turns, _ := lawful(rt, ch, sh)
		for _, turn := range turns {
			if turn.text[0] == 0x17 {
				break // protected data looks after itself, and passes unread
			}
			n.speakAttacked(turn)
			n.wantOneTruth()
			if n.urgent {
				rt.Fatalf("octets marked urgent were let through; findings %v", n.rec.ids())
			}
			if n.a.reset || n.b.reset {
				break
			}
		}
		n.wantNothingLeft()
	})
}
