package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keepword/bench/lab"
)

// Dialogues as both ends see them.
const (
	greets   = "S220 mx.example ESMTP\r\n"
	offers   = greets + "CEHLO client.example\r\n" + "S250-mx.example\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	offersNo = greets + "CEHLO client.example\r\n" + "S250-mx.example\r\n250 8BITMIME\r\n"
	mails    = "CMAIL FROM:<a@example>\r\n" + "S250 ok\r\n" + "CDATA\r\n" + "S354 go\r\n"
	asks     = "CSTARTTLS\r\n"
	hello    = "C\x16\x03\x01 hello"
	upgrades = offers + asks + "S220 go ahead\r\n" + hello + "S\x16\x03\x03 hello"
	inClear  = offers + asks + "S454 No\r\n" + mails
)

// seen is the view of a dialogue, in which each turn begins with C or S.
func seen(dialogue string, reset bool) (v view) {
	var turns []turn
	for line := range strings.Lines(dialogue) {
		for len(line) > 0 {
			rest := ""
			if line[0] == 'S' || line[0] == 'C' && !strings.HasPrefix(line, "CHUNKING") {
				turns = append(turns, turn{fromClient: line[0] == 'C'})
				line = line[1:]
			}
			if at := strings.Index(line, "hello"); at >= 0 {
				line, rest = line[:at+len("hello")], line[at+len("hello"):]
			}
			last := &turns[len(turns)-1]
			last.octets = append(last.octets, line...)
			line = rest
		}
	}
	v.sees(turns, reset)
	return v
}

func TestAViewSaysWhatAnEndSawUpToTheMailOrToTLS(t *testing.T) {
	for _, c := range []struct {
		dialogue string
		reset    bool
		words    string
		trips    int
	}{
		{upgrades, true, "EHLO: STARTTLS offered; STARTTLS: `220 go ahead`; TLS begins", 2},
		{inClear, true, "EHLO: STARTTLS offered; STARTTLS: `454 No`; MAIL: 250", 2},
		{offersNo + mails, false, "EHLO: no STARTTLS; MAIL: 250", 1},
		{offers + asks + "S220 go ahead\r\n" + hello, true, "EHLO: STARTTLS offered; STARTTLS: `220 go ahead`; ClientHello: no answer; the connection is reset", 2},
		{offers + asks + "S220 go ahead\r\n" + hello + "S500 what?\r\n", false, "EHLO: STARTTLS offered; STARTTLS: `220 go ahead`; ClientHello: `500 what?`", 2},
		{"S220 ****\r\n" + "CHELO client.example\r\n" + "S250 ok\r\n" + "CMAIL FROM:<a@example>\r\n" + "S421 ended\r\n", true,
			"greeting `220 ****`; HELO: 250; MAIL: `421 ended`", 1},
		{greets + "CEHLO client.example\r\n" + "S250-mx.example\r\n250 XXXXXXXA\r\n" + "CQUIT\r\n", false, "EHLO: `XXXXXXXA`", 1},
	} {
		v := seen(c.dialogue, c.reset)
		if words := strings.Join(v.words, "; "); words != c.words || v.trips != c.trips {
			t.Errorf("%q: %q in %d trips, want %q in %d", c.dialogue, words, v.trips, c.words, c.trips)
		}
	}
}

// as returns an attempt that ends as it must.
func as(e ending) *attempt {
	m := &mail{Message: &lab.Message{ID: "<1>", To: "b@example", Text: []byte("text\r\n")}, out: e.outcome(), tls: e == inTLS}
	a := &attempt{mail: m, result: lab.Result{Outcome: e.outcome(), TLS: e == inTLS}, state: closed, want: e, wantState: closed}
	switch e {
	case inTLS:
		a.client, a.server, a.outcome = seen(upgrades, false), seen(upgrades, false), "upgraded"
	case inVain:
		a.client, a.server = seen(inClear, false), seen(inClear, false)
	case unasked:
		a.client, a.server = seen(offersNo+mails, false), seen(offers+mails, false)
	case putOff, bounced:
		a.client, a.server = seen(inClear, false), seen(offers, false)
	}
	return a
}

// The failing controls: a judge that lets everything pass would be none.
func TestAnAttemptThatEndsOtherwiseIsAFault(t *testing.T) {
	for e := inTLS; e <= bounced; e++ {
		if faults := as(e).judge(); len(faults) > 0 {
			t.Errorf("%v: %q", e, faults)
		}
		for other := inTLS; other <= bounced; other++ {
			if a := as(e); other != e {
				a.want = other
				if len(a.judge()) == 0 {
					t.Errorf("what ends %q (%d) passes for %q (%d)", e, e, other, other)
				}
			}
		}
	}
	for what, spoil := range map[string]func(a *attempt){
		"another state":         func(a *attempt) { a.state = opened },
		"an event that is due":  func(a *attempt) { a.wantEvents = []string{opens} },
		"an event that is not":  func(a *attempt) { a.events = make([]lab.Event, 1) },
		"an offer that is seen": func(a *attempt) { a.client = seen(offers+mails, false) },
		"a wasted round trip":   func(a *attempt) { a.client = seen(offersNo+"CNOOP\r\n"+"S250 ok\r\n"+mails, false) },
		"a question":            func(a *attempt) { a.server = seen(inClear, false) },
		"no hidden offer":       func(a *attempt) { a.wantState, a.state = opened, opened },
		"nothing":               func(a *attempt) { a.client, a.server = view{}, view{} },
	} {
		a := as(unasked)
		spoil(a)
		if len(a.judge()) == 0 {
			t.Errorf("%s: passes", what)
		}
	}
}

func TestAnEventIsUndatedInTheDocument(t *testing.T) {
	const sentence = "It last did on 2026-11-23 18:15 UTC; all else is unchanged"
	if got, want := undated(sentence), "It last did on (date); all else is unchanged"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEveryStoryHasANameOfItsOwnAndIsInTheConfiguration(t *testing.T) {
	all := stories()
	var names []string
	for i, s := range all {
		names = append(names, s.name)
		s.port = uint16(firstPort + i)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("two have the same name: %q", names)
	}
	text := []byte(configuration(all))
	ports, rules, _ := bytes.Cut(text, []byte("servers:"))
	for _, s := range all {
		port := []byte(fmt.Sprint(s.port))
		if !bytes.Contains(ports, port) || bytes.Contains(rules, port) != s.require {
			t.Errorf("%s (require: %v) in %s", s.name, s.require, text)
		}
	}
}
