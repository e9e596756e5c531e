package inspect_test

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

var requireTLS = policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}}

// offered brings a session as far as the offer of STARTTLS and forgets what was heard.
func offered(w *wire) {
	w.s(greeting)
	w.c(ehlo)
	w.s(offers)
	w.heard(w.client)
	w.heard(w.server)
}

func TestTheLooksOfAClientHelloDoNotOpenAWayAroundRequire(t *testing.T) {
	for _, answer := range []string{"454 4.7.0 not now\r\n", "501 5.5.4 no\r\n", "250 OK\r\n"} {
		everyCut(t, setup{policy: requireTLS}, func(t *testing.T, w *wire) {
			offered(w)
			w.c("STARTTLS\r\n")
			w.s(answer)
			w.heard(w.server)
			w.c("\x16\x03\x01\x02\x00\x01\r\n")
			w.s("500 5.5.2 what?\r\n")
			w.c(message)
			if got := w.heard(w.server); strings.Contains(got, "MAIL") {
				t.Errorf("the server heard %q", got)
			}
		})
	}
}

func TestAnEarlyClientHelloBeforeARefusalReachesNoServer(t *testing.T) {
	ch, _ := hellos(t)
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.c("STARTTLS\r\n" + ch)
	w.s("454 4.7.0 not now\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
	if !w.client.reset || !w.server.reset {
		t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
	}
	if got := w.heard(w.client); !strings.HasPrefix(got, "421 ") && !strings.HasPrefix(got, "454 ") {
		t.Errorf("the client heard %q", got)
	}
}

func TestWhatOnlyBeginsLikeTLSIsNoWayAroundInspection(t *testing.T) {
	for _, first := range []string{"\x16\r\n", "\x80\r\n", "\x16\x03\x01\x00\x40\x01\r\n", "\x16\x03\x01\x00\x02\x01\x00\x16\x03\x01\x00\x02\r\n"} {
		w := newWire(t, setup{policy: requireTLS})
		w.s(greeting)
		w.c(first)
		w.s("500 5.5.2 what?\r\n")
		w.c(ehlo)
		w.s(offers)
		w.c(message)
		if got := w.heard(w.server); strings.Contains(got, "MAIL") {
			t.Errorf("%q: the server heard %q", first, got)
		}
	}
}

func TestANewConnectionOnAForgottenPortIsInspected(t *testing.T) {
	ch, sh := hellos(t)
	app := "\x17\x03\x03\x00\x03abc"
	for name, before := range map[string]func(w *wire){
		"in the dialogue": func(w *wire) { w.s(greeting); w.c(ehlo) },
		"in TLS": func(w *wire) {
			offered(w)
			w.c("STARTTLS\r\n")
			w.s("220 go\r\n")
			w.c(ch)
			w.s(sh)
			w.c(app)
			w.s(app + app)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			before(w)
			w.heard(w.client)
			w.heard(w.server)
			// Both ends forget, without a word.
			w.client.snd += 1 << 24
			w.server.snd += 1 << 25
			w.open()
			w.s(greeting)
			w.wantHeard(w.client, greeting)
			w.c(ehlo)
			w.wantHeard(w.server, ehlo)
			w.s(offers)
			w.heard(w.client)
			w.c("STARTTLS\r\n")
			w.s("250 OK\r\n")
			w.wantHeard(w.client, "454 No\r\n")
			w.close()
			if len(w.rec.flows) != 2 {
				t.Errorf("%d flow records, want 2", len(w.rec.flows))
			}
		})
	}
}

func TestASessionIsFollowedFromItsServersSYN(t *testing.T) {
	for _, mode := range []verdict.Mode{verdict.Enforce, verdict.Observe} {
		w := newWire(t, setup{policy: policy.Config{Mode: mode}})
		w.p = inspect.New(inspect.Config{Policy: policy.New(policy.Config{Mode: mode}), Ports: []uint16{25},
			Limits: inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10}, Sink: w.rec})
		w.server.snd--
		w.send(w.server, packet.SYN|packet.ACK, nil)
		w.server.snd++
		w.send(w.client, packet.ACK, nil)
		w.s(greeting)
		w.wantHeard(w.client, greeting)
		w.c(ehlo)
		w.wantHeard(w.server, ehlo)
	}
}

func TestObservingLetsFastOpenPass(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Mode: verdict.Observe}})
	w.client.addr = version4[0]
	w.client.snd, w.server.snd = 5000, 9000
	w.p = inspect.New(inspect.Config{Policy: policy.New(policy.Config{Mode: verdict.Observe}), Ports: []uint16{25},
		Limits: inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10}, Sink: w.rec})
	w.client.rcv, w.server.rcv = 9001, 5001
	w.send(w.client, packet.SYN, []byte(ehlo))
	w.client.snd += 1 + uint32(len(ehlo))
	w.server.rcv += uint32(len(ehlo)) // the server takes it
	w.send(w.server, packet.SYN|packet.ACK, nil)
	w.server.snd++
	w.send(w.client, packet.ACK, nil)
	w.s(greeting + offers)
	w.wantHeard(w.client, greeting+offers)
	w.c("STARTTLS\r\n")
	w.wantHeard(w.server, "STARTTLS\r\n")
	w.p.Flush(w.now)
	if f := w.rec.flows[0]; !slices.Contains(f.Steps, starttls.StepOffered) {
		t.Errorf("steps %v", f.Steps)
	}
}

func TestAnUrgentPointerIsClearedWithoutDataToo(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	pkt := w.segment(w.client, w.client.snd, packet.ACK|packet.URG, nil)
	binary.BigEndian.PutUint16(pkt[20+18:], 5)
	var v packet.View
	packet.Parse(pkt, &v)
	v.SetChecksums()
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
	w.p.Inspect(&b)
	packet.Parse(b.Packets[0].Data, &v)
	if b.Packets[0].Verdict != verdict.Replace || v.Flags.Has(packet.URG) || v.Urgent != 0 {
		t.Errorf("%v, flags %x, urgent pointer %d", b.Packets[0].Verdict, v.Flags, v.Urgent)
	}
}

func TestUrgentDataEndsTheConnectionWherePolicySaysSo(t *testing.T) {
	w := newWire(t, setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.UrgentData: verdict.Kill}}})
	w.s(greeting)
	w.send(w.client, packet.ACK|packet.URG, []byte(ehlo))
	if !w.client.reset || !w.server.reset {
		t.Error("not ended")
	}
}

func TestAGapThatOnlyAnEarlierAcknowledgementToldDoesNotStall(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.client.snd += uint32(len(ehlo)) // it passed unseen
	w.server.rcv = w.client.snd
	w.s(offers)
	w.heard(w.client)
	w.send(w.client, packet.ACK, []byte(message))
	w.wantHeard(w.server, message)
	if ids := w.rec.ids(); !slices.Contains(ids, "gap log") {
		t.Errorf("findings %q", ids)
	}
}

func TestNoNewOctetPassesBehindAReset(t *testing.T) {
	w := newWire(t, setup{policy: requireTLS})
	offered(w)
	w.put(w.segment(w.client, w.client.snd, packet.RST, nil)) // one that never reaches the server
	w.server.reset = false
	w.c(message)
	w.wantHeard(w.server, "")
}

func TestTheFindingOfAKillSaysThatItsPacketWasDropped(t *testing.T) {
	w := newWire(t, setup{})
	offered(w)
	w.c("STARTTLS\r\nRSET\r\n")
	w.wantFindings("command-injection kill")
	if k := w.rec.findings[0].Packet; k != verdict.Drop {
		t.Errorf("packet: %v", k)
	}
}

func TestAClientWhoseReplyIsDroppedWithAKillIsTold421(t *testing.T) {
	kill := setup{policy: policy.Config{Actions: map[verdict.Finding]verdict.Action{verdict.OfferRefused: verdict.Kill}}}
	w := newWire(t, kill)
	offered(w)
	w.c("STARTTLS\r\n")
	w.s("554 5.7.0 no\r\n")
	if got := w.heard(w.client); !strings.HasPrefix(got, "421 4.7.0 ") {
		t.Errorf("the client heard %q", got)
	}
}

func TestAKillAfterReorderingReachesBothSidesAtOnce(t *testing.T) {
	ch, sh := hellos(t)
	w := newWire(t, setup{})
	offered(w)
	w.c("STARTTLS\r\n")
	w.s("220 go\r\n")
	w.c(ch)
	first := w.server.snd
	w.put(w.segment(w.server, first+20, packet.ACK, []byte(sh[20:])))
	w.put(w.segment(w.server, first, packet.ACK, []byte(sh[:20])))
	w.server.snd += uint32(len(sh))
	w.c("MAIL FROM:<>\r\n")
	if !w.client.reset || !w.server.reset {
		t.Errorf("reset: client %v, server %v", w.client.reset, w.server.reset)
	}
}

func TestRequireKnowsEverySpellingThatServersTakeForMAIL(t *testing.T) {
	for _, command := range []string{"MAIL\tFROM:<a@example>\r\n", " MAIL FROM:<a@example>\r\n", "\tmail from:<a@example>\r\n", "MAIL  FROM:<a@example>\r\n"} {
		everyCut(t, setup{policy: requireTLS}, func(t *testing.T, w *wire) {
			offered(w)
			w.c(command)
			if got := w.heard(w.server); strings.Contains(strings.ToUpper(got), "MAIL") && strings.Contains(got, "example") {
				t.Errorf("the server heard %q", got)
			}
			w.s("250 Ok\r\n")
			if got := w.heard(w.client); !w.client.reset && !strings.HasPrefix(got, "530 ") {
				t.Errorf("the client heard %q", got)
			}
		})
	}
}

func TestMailDataIsReadAsSuchHoweverDATAWasSpelt(t *testing.T) {
	for _, data := range []string{" DATA\r\n", "\tDATA\r\n", "DATA\t\r\n", "data \r\n"} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
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
			w.s("250 Ok\r\n")
			w.wantFindings()
		})
	}
}

func TestARefusalOfSTARTTLSWithTwoCodesIsStillARefusal(t *testing.T) {
	for _, answer := range []string{"554-5.7.1 No\r\n550 5.7.1 Really\r\n", "454-not now\r\n454-\r\n  try later\r\n454 bye\r\n"} {
		everyCut(t, setup{}, func(t *testing.T, w *wire) {
			offered(w)
			w.c("STARTTLS\r\n")
			w.s(answer)
			w.wantHeard(w.client, answer)
			if w.client.reset {
				t.Error("ended")
			}
		})
	}
}

func TestObservingDropsNothing(t *testing.T) {
	rec := &recorder{}
	w := newWire(t, setup{})
	p := inspect.New(inspect.Config{Policy: policy.New(policy.Config{Mode: verdict.Observe}), Ports: []uint16{25},
		Midstream: inspect.WhenDrop, Limits: inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10}, Sink: rec})
	bad := w.segment(w.client, w.client.snd, packet.ACK, []byte(ehlo))
	bad[30] ^= 1
	for name, pkt := range map[string][]byte{"midstream": w.segment(w.client, w.client.snd, packet.ACK, []byte(ehlo)), "bad checksum": bad} {
		b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1, Data: pkt}}}
		p.Inspect(&b)
		if b.Packets[0].Verdict != verdict.Accept {
			t.Errorf("%s: %v", name, b.Packets[0].Verdict)
		}
	}
}

func TestAnEditIsNotLostWhereTheSessionIsGivenUp(t *testing.T) {
	c := policy.Config{Servers: []policy.Server{{StartTLS: policy.Require}}, Actions: map[verdict.Finding]verdict.Action{verdict.MemoryLimit: verdict.Log}}
	w := newWire(t, setup{policy: c})
	offered(w)
	w.c(message + strings.Repeat("X\r\n", 5000))
	if got := w.heard(w.server); strings.Contains(got, "MAIL") {
		t.Errorf("the server heard %q…", got[:40])
	}
}

func TestALargeFlowMemoryKillsNoFlow(t *testing.T) {
	w := newWire(t, setup{limits: inspect.Limits{Flows: 10, Memory: 512 << 20, FlowMemory: 256 << 20}})
	w.s(greeting)
	w.client.snd += 17 << 20 // reordered far ahead, within the window
	w.send(w.client, packet.ACK, []byte("x"))
	if w.client.reset {
		t.Error("ended")
	}
}

func TestNoiseBetweenRepliesIsNoAnswerToSTARTTLS(t *testing.T) {
	everyCut(t, setup{}, func(t *testing.T, w *wire) {
		w.s(greeting + "Welcome to this old server!\r\n\r\n")
		w.c(ehlo)
		w.s(offers)
		w.c("STARTTLS\r\n")
		w.s("220 go\r\n")
		if w.client.reset {
			t.Error("ended")
		}
		w.wantFindings("reply-malformed log")
	})
}

// An edit costs what arrives, however long the line already is.
func TestALineWithoutEndIsEditedAsFarAsItIsNew(t *testing.T) {
	for _, refused := range []struct{ command, answer string }{{"MAIL FROM:<", ""}, {"STARTTLS\r\n", "250-OK "}} {
		w := newWire(t, setup{policy: policy.Config{
			Servers: requireTLS.Servers, Actions: map[verdict.Finding]verdict.Action{verdict.LineTooLong: verdict.Pass},
		}})
		offered(w)
		w.c(refused.command)
		from := w.client
		if refused.answer != "" {
			from = w.server
			w.s(refused.answer)
		}
		part := strings.Repeat("a", 1000)
		for range 3000 {
			w.say(from, part)
		}
		w.heard(w.peer(from))
		const rounds = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			w.say(from, part)
			w.heard(w.peer(from))
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / rounds; n > 100_000 {
			t.Errorf("%q: %d octets allocated for a segment of 1000", refused.command, n)
		}
		w.wantFindings()
	}
}

func TestTheLastWordsOfAServerAreRepeatedWhenTheyWereLost(t *testing.T) {
	w := newWire(t, setup{})
	w.s(greeting)
	w.send(w.client, packet.ACK|packet.FIN, []byte("QUIT\r\n"))
	w.client.snd += 7
	w.server.rcv++
	bye := w.segment(w.server, w.server.snd, packet.ACK|packet.FIN, []byte("221 bye\r\n"))
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 999, Data: slices.Clone(bye)}}}
	w.p.Inspect(&b) // it is lost behind us
	w.heard(w.client)
	w.put(bye)
	w.wantHeard(w.client, "221 bye\r\n")
}

func TestAWholeDialogueInOneBreathIsFollowedToItsEnd(t *testing.T) {
	const blast = ehlo + message + "RCPT TO:<b@example>\r\nDATA\r\nHello\r\n.\r\nQUIT\r\n"
	for _, policy := range []policy.Config{{}, requireTLS} {
		w := newWire(t, setup{policy: policy})
		w.send(w.client, packet.ACK|packet.FIN, []byte(blast))
		w.client.snd += uint32(len(blast)) + 1
		answer := "354 go\r\n"
		w.s(greeting + offers + "250 Ok\r\n250 Ok\r\n")
		w.s(answer)
		if got := w.heard(w.server); len(got) != len(blast) {
			t.Errorf("the server heard %q", got)
		}
		w.server.rcv++ // its FIN
		w.send(w.server, packet.ACK|packet.FIN, []byte("250 Ok\r\n221 bye\r\n"))
		w.server.snd += 18
		w.client.rcv++
		w.send(w.client, packet.ACK, nil)
		if len(w.rec.flows) != 1 {
			t.Errorf("%d flow records, want 1", len(w.rec.flows))
		}
	}
}

// Each line begins with who says it.
func TestWhatIsUnusualAndLawfulPassesWithoutAFinding(t *testing.T) {
	ch, sh := hellos(t)
	app := "\x17\x03\x03\x00\x03abc"
	long := "S250-mx.example\r\n"
	for i := range 80 {
		long += "250-X-EXTENSION-" + strings.Repeat("Y", i) + " 1 2 3\r\n"
	}
	upgrade := []string{"C" + ch, "S" + sh, "C\x14\x03\x03\x00\x01\x01", "S" + app, "C" + app, "S" + app}
	mail := []string{"C" + message, "S250 Ok\r\n", "CRCPT TO:<b@example>\r\n", "S250 Ok\r\n"}
	for name, turns := range map[string][]string{
		"a greeting with a teaser":      {"S220-mx.example ESMTP\r\n", "S220-wait\r\n220 mx.example ESMTP\r\n"},
		"a greeting without text":       {"S220\r\n", "C" + ehlo, "S" + offers},
		"a refusal at the door":         {"S554 no SMTP service here\r\n", "CQUIT\r\n", "S221 bye\r\n"},
		"421 at any time":               {"S" + greeting, "C" + ehlo, "S" + offers, "S421 4.4.2 timeout\r\n"},
		"421 within mail data":          append([]string{"S" + greeting, "C" + ehlo, "S" + offers}, append(mail, "CDATA\r\n", "S354 go\r\n", "CHello\r\n", "S421 timeout\r\n")...),
		"421 to STARTTLS":               {"S" + greeting, "C" + ehlo, "S" + offers, "CSTARTTLS\r\n", "S421 4.7.0 too busy\r\n"},
		"220 in lines":                  append([]string{"S" + greeting, "C" + ehlo, "S" + offers, "CSTARTTLS\r\n", "S220-2.0.0 STARTTLS\r\n220-\r\n220 go\r\n"}, upgrade...),
		"220 without text":              append([]string{"S" + greeting, "C" + ehlo, "S" + offers, "CSTARTTLS\r\n", "S220\r\n"}, upgrade...),
		"STARTTLS in lower case":        append([]string{"S" + greeting, "C" + ehlo, "S" + offers, "Cstarttls \r\n", "S220 STARTTLS\r\n"}, upgrade...),
		"STARTTLS again after a 454":    append([]string{"S" + greeting, "C" + ehlo, "S250 mx.example\r\n", "CNOOP\r\n", "S250 ok\r\n", "C" + ehlo, "S250-mx\r\n250 SIZE\r\n"}, mail...),
		"EHLO twice, HELP, VRFY, ETRN":  {"S" + greeting, "C" + ehlo, "S" + offers, "C" + ehlo, "S" + offers, "CHELP\r\n", "S214-these\r\n214-STARTTLS\r\n214 end\r\n", "CVRFY a\r\n", "S252 no\r\n", "CETRN example\r\n", "S250 queued\r\n", "CEXPN x\r\n", "S502 no\r\n"},
		"XCLIENT begins anew":           {"S" + greeting, "C" + ehlo, "S250-mx\r\n250 XCLIENT NAME\r\n", "CXCLIENT NAME=a ADDR=192.0.2.9\r\n", "S" + greeting, "C" + ehlo, "S250-mx\r\n250 XCLIENT NAME\r\n", "CXFORWARD NAME=b\r\n", "S250 ok\r\n"},
		"AUTH with every turn":          {"S" + greeting, "C" + ehlo, "S250-mx\r\n250 AUTH LOGIN PLAIN CRAM-MD5\r\n", "CAUTH LOGIN\r\n", "S334 VXNlcm5hbWU6\r\n", "C*\r\n", "S501 cancelled\r\n", "CAUTH CRAM-MD5\r\n", "S334 PDE+\r\n", "CQUIT\r\n", "S535 no\r\n", "CAUTH PLAIN\r\n", "S334 \r\n", "CMAIL\r\n", "S535 no\r\n", "CAUTH PLAIN AGEAYg==\r\n", "S235 ok\r\n"},
		"BDAT in a pipeline":            append([]string{"S" + greeting, "C" + ehlo, "S250-mx\r\n250-PIPELINING\r\n250 chunking\r\n"}, append(mail, "CBDAT 10\r\nSTARTTLS\r\nBDAT 0\r\nBDAT 7 LAST\r\nQUIT\r\n.", "S250 ok\r\n250 ok\r\n250 ok\r\n", "CQUIT\r\n", "S221 bye\r\n")...),
		"a pipeline with DATA":          {"S" + greeting, "C" + ehlo, "S" + offers, "C" + message + "RCPT TO:<b@example>\r\nDATA\r\n", "S250 ok\r\n550 no\r\n554 none\r\n", "CRSET\r\n", "S250 ok\r\n"},
		"mail data with all but an end": append([]string{"S" + greeting, "C" + ehlo, "S" + offers}, append(mail, "CDATA\r\n", "S354 go\r\n", "C.\r\r\n..\r\nSTARTTLS\r\n. \r\nAUTH x\r\n\r\r\n.\r\n", "S250 ok\r\n", "C"+message+"RCPT TO:<c@example>\r\nDATA\r\n", "S250 ok\r\n250 ok\r\n354 go\r\n", "C.\r\nQUIT\r\n", "S250 ok\r\n221 bye\r\n")...),
		"a long reply to EHLO":          {"S" + greeting, "C" + ehlo, long + "250 SIZE 1\r\n"},
		"HELO only":                     append([]string{"S" + greeting, "CHELO client\r\n", "S250 mx\r\n"}, mail...),
		"EHLO unknown":                  {"S" + greeting, "C" + ehlo, "S502 what?\r\n", "CHELO client\r\n", "S250 mx\r\n"},
		"QUIT after a 454":              {"S" + greeting, "C" + ehlo, "S250 mx\r\n", "CQUIT\r\n", "S221 bye\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			everyCut(t, setup{}, func(t *testing.T, w *wire) {
				for _, turn := range turns {
					from := w.client
					if turn[0] == 'S' {
						from = w.server
					}
					w.say(from, turn[1:])
					w.wantHeard(w.peer(from), turn[1:])
				}
				w.close()
				w.wantFindings()
			})
		})
	}
}

func TestAnOfferIsHiddenHoweverItIsSpelt(t *testing.T) {
	hide := setup{policy: policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}}
	for _, sent := range []string{
		"250-mx\r\n250- STARTTLS\r\n250 SIZE\r\n", "250-mx\r\n250-SIZE\r\n250 \t starttls\r\n",
		"250-mx\r\n250-STARTTLS=\r\n250 SIZE\r\n", "250-mx\n250-STARTTLS\n250 SIZE\n", "251-mx\r\n251 STARTTLS\r\n",
	} {
		everyCut(t, hide, func(t *testing.T, w *wire) {
			w.s(greeting)
			w.c(ehlo)
			w.heard(w.client)
			w.s(sent)
			got := w.heard(w.client)
			if len(got) != len(sent) || strings.Contains(strings.ToUpper(got), "STARTTLS") {
				t.Errorf("heard %q", got)
			}
		})
	}
}

func TestAServerThatDoesNotKnowBDATRunsItsOctetsAsCommands(t *testing.T) {
	everyCut(t, setup{policy: requireTLS}, func(t *testing.T, w *wire) {
		w.s(greeting)
		w.c(ehlo)
		w.s("250-mx.example\r\n250 STARTTLS\r\n")
		w.heard(w.server)
		w.c("BDAT 1000\r\n" + message)
		w.s("500 5.5.1 Command unrecognized\r\n")
		if got := w.heard(w.server); strings.Contains(got, "MAIL") && strings.Contains(got, "example") {
			t.Errorf("the server heard %q", got)
		}
	})
}
