package inspect_test

import (
	"crypto/tls"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/starttls"
)

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
