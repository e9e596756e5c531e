package starttls

import (
	"fmt"
	"strings"
	"testing"

	"keepword/inspect/smtp"
	"keepword/inspect/tlsrecord"
	v "keepword/inspect/verdict"
)

// tell enters one event in l and returns what was found. The events are written as
// in a transcript:
//
//	greet TEXT             a line of the greeting
//	ehlo TEXT|TEXT...      a positive EHLO reply, line by line
//	ask, ask param, ask malformed, ask transaction, ask x-anonymoustls
//	NNN TEXT               the reply to STARTTLS
//	235                    accepted authentication
//	surplus NNN
//	implicit               a ClientHello as first octets
//	c EVENT, s EVENT       a TLS record of the client or the server: hello, retry, alert,
//	                       data, clear, ccs, sealed-alert
//	close                  the connection ends
func tell(t *testing.T, l *Ledger, what string) (found []v.Finding) {
	t.Helper()
	word, rest, _ := strings.Cut(what, " ")
	take := func(f Found) { found = append(found, f.List()...) }
	records := map[string]tlsrecord.Event{
		"retry": tlsrecord.HelloRetryRequest, "alert": tlsrecord.Alert, "data": tlsrecord.ApplicationData,
		"clear": tlsrecord.NotTLS, "ccs": tlsrecord.ChangeCipherSpec, "sealed-alert": tlsrecord.EncryptedAlert,
	}
	switch word {
	case "greet":
		take(l.Greeting([]byte(rest)))
	case "ehlo":
		lines := strings.Split(rest, "|")
		for i, text := range lines {
			ev := smtp.ServerEvent{Code: 250, First: i == 0, Final: i == len(lines)-1, Text: []byte(text)}
			_, f := l.EHLOLine(&ev)
			take(f)
		}
		take(l.EHLOEnd())
	case "ask":
		ev := smtp.ClientEvent{Verb: smtp.VerbSTARTTLS}
		for _, w := range strings.Fields(rest) {
			switch w {
			case "x-anonymoustls":
				ev.Verb = smtp.VerbXANONYMOUSTLS
			case "param":
				ev.Flags |= smtp.Parameter
			case "malformed":
				ev.Flags |= smtp.Malformed
			case "transaction":
				ev.Flags |= smtp.InTransaction
			default:
				t.Fatalf("ask %q", w)
			}
		}
		take(l.Ask(&ev))
	case "235":
		l.Authenticated()
	case "surplus":
		var code int
		fmt.Sscan(rest, &code)
		take(l.Surplus(code))
	case "implicit":
		take(l.BeginImplicit())
	case "c":
		if rest == "hello" {
			take(l.ClientRecord(tlsrecord.ClientHello))
			break
		}
		take(l.ClientRecord(records[rest]))
	case "s":
		if rest == "hello" {
			take(l.ServerRecord(tlsrecord.ServerHello, tls13))
			break
		}
		take(l.ServerRecord(records[rest], 0))
	case "close":
		take(l.Close())
	default:
		ev := smtp.ServerEvent{First: true, Final: true, Text: []byte(rest)}
		if n, _ := fmt.Sscan(word, &ev.Code); n != 1 {
			t.Fatalf("no event: %q", what)
		}
		take(l.Answer(&ev))
	}
	return found
}

// told enters a session's events, separated by "; ".
func told(t *testing.T, tale string) (l *Ledger, found []v.Finding) {
	t.Helper()
	l = &Ledger{}
	l.Init(0)
	for _, what := range strings.Split(tale, "; ") {
		found = append(found, tell(t, l, what)...)
	}
	return l, found
}

const offer = "ehlo mx.example|PIPELINING|STARTTLS; "

func TestEachWayToBreakThePromiseIsFoundOnceAndNothingElseIs(t *testing.T) {
	for _, c := range []struct {
		tale string
		want []v.Finding
	}{
		// The promise.
		{offer + "ask; 554 Unable to initialize security subsystem", []v.Finding{v.OfferRefused}},
		{offer + "ask; 502 no", []v.Finding{v.OfferRefused}},
		{offer + "ask; 454 TLS not available", []v.Finding{v.OfferRefusedTemporarily}},
		{offer + "ask; 454 4.7.0 Error: too many new TLS sessions", []v.Finding{v.TLSRateLimited}},
		{offer + "ask; 454 TOO MANY", []v.Finding{v.TLSRateLimited}},
		{offer + "ask; 250 OK", []v.Finding{v.AnsweredForServer}},
		{offer + "ask; 200 OK", []v.Finding{v.AnsweredForServer}},
		{offer + "ask; 221 bye", []v.Finding{v.AnsweredForServer}},
		{offer + "ask; 299 x", []v.Finding{v.AnsweredForServer}},
		{offer + "ask; 100 x", []v.Finding{v.UnfitAnswer}},
		{offer + "ask; 334 x", []v.Finding{v.UnfitAnswer}},
		{offer + "ask; 354 x", []v.Finding{v.UnfitAnswer}},
		{offer + "ask; 600 x", []v.Finding{v.UnfitAnswer}},
		{offer + "ask; 999 x", []v.Finding{v.UnfitAnswer}},
		{offer + "ask; 0 what", []v.Finding{v.UnfitAnswer}},
		{offer + "surplus 250", []v.Finding{v.SurplusReply}},
		{offer + "ask; 220 go; c clear", []v.Finding{v.PlaintextFromClientAfter220}},
		{offer + "ask; 220 go; c hello; s clear", []v.Finding{v.PlaintextFromServerAfter220}},
		{offer + "ask; 220 go; c hello; c alert", []v.Finding{v.HandshakeFailed}},
		{offer + "ask; 220 go; c hello; s alert; c alert; close", []v.Finding{v.HandshakeFailed}},
		{offer + "ask; 220 go; close", []v.Finding{v.HandshakeFailed}},
		{offer + "ask; 220 go; c hello; close", []v.Finding{v.HandshakeFailed}},
		{offer + "ask; 220 go; c hello; s hello; close", []v.Finding{v.HandshakeFailed}},
		{offer + "ask; 220 go; c hello; s hello; c clear", []v.Finding{v.PlaintextAfterTLS}},
		{offer + "ask; 220 go; c hello; s hello; s clear", []v.Finding{v.PlaintextAfterTLS}},
		{"ehlo mx.example|XXXXXXXA", []v.Finding{v.OfferMasked}},
		{"ehlo mx.example|XXXXXXXC", []v.Finding{v.OfferMasked}},
		{"ehlo mx.example|XXXXXXXX", []v.Finding{v.OfferMasked}},
		{"greet ********************0*2*****", []v.Finding{v.GreetingMasked}},
		{"greet ***************************", []v.Finding{v.GreetingMasked}},
		{"greet ****2******0 **********", []v.Finding{v.GreetingMasked}},
		{offer + "ehlo mx.example|SIZE", []v.Finding{v.OfferInconsistent}},
		{"ehlo mx.example|SIZE; " + offer + "ask", []v.Finding{v.OfferInconsistent}},
		{"ask", []v.Finding{v.STARTTLSNotOffered}},
		{"ehlo STARTTLS|SIZE; ask", []v.Finding{v.STARTTLSNotOffered}}, // the first line names the server
		{"ehlo mx.example|X-STARTTLS; ask", []v.Finding{v.STARTTLSNotOffered}},
		{offer + "ask param", []v.Finding{v.STARTTLSWithParameter}},
		{offer + "ask malformed", []v.Finding{v.STARTTLSMalformed}},
		{offer + "ask transaction", []v.Finding{v.STARTTLSInTransaction}},
		{"ask param malformed transaction", []v.Finding{v.STARTTLSNotOffered, v.STARTTLSWithParameter, v.STARTTLSMalformed, v.STARTTLSInTransaction}},
		{"ask x-anonymoustls", []v.Finding{v.XAnonymoustls}},
		{"implicit; c hello; s hello; c data; s data; close", []v.Finding{v.ImplicitTLS}},
		// Injection.
		{offer + "ask; 220 go; s clear", []v.Finding{v.ResponseInjection}},
		{offer + "ask; 220 go; s hello", []v.Finding{v.ResponseInjection}}, // nobody's answer
		{offer + "ask; 220 go; s retry", []v.Finding{v.ResponseInjection}},
		{offer + "235; ask; 220 go", []v.Finding{v.AuthBeforeTLS}},

		// What is no finding.
		{offer + "ask; 220 go; c hello; s hello; c data; s data; close", nil},
		{offer + "ask; 220 go; c hello; s retry; c hello; s hello; s ccs; c ccs; c data; s data; c sealed-alert; close", nil},
		{offer + "ask; 421 bye", nil},
		{offer + "ask; 501 no parameters", nil},
		{offer + "ask; 503 not now", nil},
		{offer + "ask; 450 later", nil},
		{"ehlo mx.example|starttls; ask; 421 bye", nil},
		{"ehlo mx.example|StartTLS foo; ask; 421 bye", nil},
		{"ehlo mx.example|SIZE; ask; 502 no", []v.Finding{v.STARTTLSNotOffered}}, // and not offer-refused
		{"ask; 454 no", []v.Finding{v.STARTTLSNotOffered}},
		{"surplus 421", nil},
		{"greet mx.example ESMTP", nil},
		{"greet ***", nil},
		{"greet *** mx.example ***", nil},
		{"greet 2222", nil},
		{"greet    ", nil},
		{"ehlo mx.example|XXX|XA|X|XCLIENT|XXXXY|8BITMIME", nil},
		{offer + offer + "235", nil},
		{offer + "ask; 454 too much traffic", []v.Finding{v.OfferRefusedTemporarily}},
		{offer + "close", nil},
		{offer + "235; close", nil},
	} {
		if _, got := told(t, c.tale); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: found %v, want %v", c.tale, got, c.want)
		}
	}
}

func TestTheStateFollowsTheDialogue(t *testing.T) {
	l := &Ledger{}
	for _, step := range []struct {
		what string
		want State
	}{
		{"greet mx", Clear}, {"ehlo mx|STARTTLS", Clear}, {"ask", Asked}, {"454 no", Clear}, {"ask", Asked}, {"220 go", Answered},
		{"c hello", ClientHello}, {"s retry", ClientHello}, {"c hello", ClientHello}, {"s hello", Begun}, {"c ccs", Begun},
		{"s data", Begun}, {"s data", Begun}, {"c data", Kept}, {"s alert", Kept},
	} {
		tell(t, l, step.what)
		if l.State() != step.want {
			t.Errorf("after %q: state %d, want %d", step.what, l.State(), step.want)
		}
	}
	if !l.SawServer() || l.Implicit() || l.ReplyCode() != 220 || !l.Offered() {
		t.Errorf("%+v", l)
	}
	l = &Ledger{}
	tell(t, l, "ask")
	l.Withdraw()
	if l.State() != Clear {
		t.Errorf("state %d after a withdrawn STARTTLS", l.State())
	}
}

func TestTheLatestEHLOReplyIsTheOffer(t *testing.T) {
	l, _ := told(t, "ehlo mx|STARTTLS; ehlo mx|SIZE")
	if l.Offered() {
		t.Error("offered by the reply before the latest")
	}
	tell(t, l, "ehlo mx|SIZE|STARTTLS")
	if !l.Offered() {
		t.Error("not offered by the latest reply")
	}
}

func TestOutcomesAreThoseOfTheContract(t *testing.T) {
	for _, c := range []struct {
		tale         string
		killed, lost bool
		taken        []Step // by the corrections
		want         string
	}{
		{"greet mx", false, false, nil, "not-offered"},
		{"ehlo mx|SIZE", false, false, nil, "not-offered"},
		{"ehlo mx|STARTTLS", false, false, nil, "not-asked"},
		{"ehlo mx|STARTTLS", false, false, []Step{StepHidden}, "hidden"},
		{"ehlo mx|STARTTLS; ask", false, false, nil, "unknown"},
		{"ehlo mx|STARTTLS; ask; 454 no", false, false, nil, "refused"},
		{"ehlo mx|STARTTLS; ask; 554 no", false, false, nil, "refused"},
		{"ask; 502 no", false, false, nil, "refused"},
		{"ehlo mx|STARTTLS; ask; 250 OK", false, false, []Step{StepCorrected}, "corrected"},
		{"ehlo mx|STARTTLS; ask; 250 OK", false, false, nil, "broken"},
		{"ehlo mx|STARTTLS; ask; 220 go", false, false, nil, "broken"},
		{"ehlo mx|STARTTLS; ask; 220 go; c hello", false, false, nil, "broken"},
		{"ehlo mx|STARTTLS; ask; 220 go; c hello; s alert", false, false, nil, "broken"},
		{"ehlo mx|STARTTLS; ask; 220 go; c hello; s hello", false, false, nil, "upgraded"},
		{"ehlo mx|STARTTLS; ask; 454 no; ask; 220 go; c hello; s hello", false, false, nil, "upgraded"},
		{"implicit; c hello; s hello", false, false, nil, "upgraded"},
		{"ehlo mx|STARTTLS; ask", true, false, nil, "killed"},
		{"ehlo mx|STARTTLS; ask; 220 go; c hello; s hello", true, false, nil, "upgraded"},
		{"ehlo mx|STARTTLS", false, true, nil, "unknown"},
		{"ehlo mx|STARTTLS; ask; 220 go; c hello; s hello", false, true, nil, "upgraded"},
		{"ehlo mx|STARTTLS; ask", true, true, nil, "killed"},
	} {
		l, _ := told(t, c.tale)
		for _, s := range c.taken {
			l.Take(s)
		}
		if got := l.Outcome(c.killed, c.lost).String(); got != c.want {
			t.Errorf("%s (killed %v, lost %v, %v): %s, want %s", c.tale, c.killed, c.lost, c.taken, got, c.want)
		}
	}
}

func TestStepsAreInOrderOfHappeningEachOnce(t *testing.T) {
	for _, c := range []struct{ tale, want string }{
		{"greet mx", "[]"},
		{"ehlo mx|STARTTLS|STARTTLS; ehlo mx|STARTTLS; ask; 454 no; ask; 220 go; c hello; s retry; c hello; s hello; c data; s data",
			"[starttls.offered starttls.asked starttls.answered tls.clienthello tls.serverhello]"},
		{"ask; 502 no; ehlo mx|STARTTLS", "[starttls.asked starttls.answered starttls.offered]"},
		{"implicit; c hello; s hello", "[tls.clienthello tls.serverhello]"},
		{"ehlo mx|STARTTLS; ask; 220 go; s hello", "[starttls.offered starttls.asked starttls.answered]"},
	} {
		l, _ := told(t, c.tale)
		if got := fmt.Sprint(l.Steps()); got != c.want {
			t.Errorf("%s: %s, want %s", c.tale, got, c.want)
		}
	}
	var l Ledger
	for range 3 {
		for s := range Steps {
			l.Take(s)
		}
	}
	if len(l.Steps()) != int(Steps) {
		t.Errorf("%d steps, want %d", len(l.Steps()), Steps)
	}
}

func TestAServerHelloBelowTheFloorIsFound(t *testing.T) {
	for _, c := range []struct {
		floor, version uint16
		want           bool
	}{{0, 0x0301, false}, {0x0303, 0x0302, true}, {0x0303, 0x0303, false}, {0x0304, 0x0303, true}, {0x0303, 0x0304, false}} {
		var l Ledger
		l.Init(c.floor)
		tell(t, &l, "ask x-anonymoustls")
		tell(t, &l, "220 go")
		tell(t, &l, "c hello")
		f := l.ServerRecord(tlsrecord.ServerHello, c.version)
		if got := len(f.List()) == 1 && f.List()[0] == v.TLSTooOld; got != c.want {
			t.Errorf("floor %x, version %x: found %v", c.floor, c.version, f.List())
		}
	}
}

func TestEveryOutcomeAndStepHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for o := OutcomeUnknown; o <= OutcomeKilled+1; o++ {
		if seen[o.String()] {
			t.Errorf("outcome %d is %q, too", o, o)
		}
		seen[o.String()] = true
	}
	seen = map[string]bool{}
	for s := range Steps + 1 {
		if seen[s.String()] {
			t.Errorf("step %d is %q, too", s, s)
		}
		seen[s.String()] = true
	}
}

func TestATLS12HandshakeThatEndsWithoutDataHasNotFailed(t *testing.T) {
	for _, c := range []struct {
		version uint16
		failed  int
	}{{0x0303, 0}, {0x0304, 1}} {
		var l Ledger
		l.Init(0)
		l.state = Answered
		l.ClientRecord(tlsrecord.ClientHello)
		l.ServerRecord(tlsrecord.ServerHello, c.version)
		l.ServerRecord(tlsrecord.ChangeCipherSpec, c.version)
		l.ClientRecord(tlsrecord.ChangeCipherSpec)
		found := l.Close()
		if n := len(found.List()); n != c.failed {
			t.Errorf("version %#x: %d findings at the end, want %d", c.version, n, c.failed)
		}
	}
}
