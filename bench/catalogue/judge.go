package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	v "keepword/inspect/verdict"
)

// outcome is what became of one case.
type outcome struct {
	finding v.Finding
	action  v.Action // that was set
	mode    v.Mode
	name    string
	faults  []string
}

// event is a finding as it was reported.
type event struct {
	finding, action, mode, reason string
	// signature is the event's signature_id; 0 where none is given.
	signature int
	// change is that of the circuit breaker's state, in place of a finding.
	change string
}

// opened is the change in which the circuit breaker takes an offer away, and the
// signature_id of its event.
const (
	opened          = "closed to open"
	openedSignature = 1_990_101
)

// judgeEvents says what is wrong with the events of a play.
func judgeEvents(f *Fixture, m setting, got []event) (faults []string) {
	var names, changes []string
	for _, e := range got {
		if e.mode != m.mode.String() {
			faults = append(faults, fmt.Sprintf("%s is reported in mode %s", e.finding, e.mode))
		}
		if !isSentence(e.reason) {
			faults = append(faults, fmt.Sprintf("%s has the reason %q", e.finding, e.reason))
		}
		want := signatures[e.finding]
		if e.change != "" {
			want = openedSignature
			changes = append(changes, e.change)
		} else {
			names = append(names, e.finding+" "+e.action)
		}
		if e.signature != 0 && e.signature != want {
			faults = append(faults, fmt.Sprintf("%s has signature_id %d, want %d", e.finding, e.signature, want))
		}
	}
	if want := f.events(m); !slices.Equal(names, want) {
		faults = append(faults, fmt.Sprintf("reported %q, want %q", names, want))
	}
	if want := f.changes(m); !slices.Equal(changes, want) {
		faults = append(faults, fmt.Sprintf("the breaker goes %q, want %q", changes, want))
	}
	return faults
}

// verb is one of fmt's, or of the reasons' own, that was not filled in.
var verb = regexp.MustCompile(`%[a-zA-Z!]`)

// isSentence says that a reason can be read.
func isSentence(reason string) bool {
	return len(reason) > 20 && 'A' <= reason[0] && reason[0] <= 'Z' && !verb.MatchString(reason) && !strings.Contains(reason, "\n")
}

// judge says what is wrong with what became of a play's octets.
func judge(f *Fixture, m setting, p *play) []string {
	p.keep()
	if m.mode == v.Observe {
		return asSent(p, true)
	}
	faults := alive(p)
	switch f.effect(m) {
	case v.Kill:
		return killed(f, p)
	case v.Correct:
		if f.Healed == nil {
			return append(faults, "nobody knows what is to be corrected")
		}
		if fault := f.Healed(p); fault != "" {
			faults = append(faults, fault)
		}
		return faults
	case v.Refuse:
		return append(faults, refused(f, p)...)
	case v.Hide:
		return append(faults, hidden(p)...)
	case v.Delay:
		if p.early != len(p.heard[server])-len(clientHello())-2*len(protected(tls13)) {
			faults = append(faults, "the ClientHello was not held until the 220")
		}
	}
	if f.Lossy {
		return append(faults, lossy(p)...)
	}
	return append(faults, asSent(p, false)...)
}

// alive says what is wrong with a connection that goes on.
func alive(p *play) (faults []string) {
	for i, reset := range p.wasReset {
		if reset {
			faults = append(faults, fmt.Sprintf("the %v was reset", side(i)))
		}
	}
	return faults
}

// asSent fails unless all arrived that was sent, and nothing else, unaltered; in order,
// where nothing may have been held either.
func asSent(p *play, inOrder bool) (faults []string) {
	for i := range p.sent {
		sent, arrived := p.sent[i], p.arrived[i]
		if !inOrder {
			sent, arrived = slices.Sorted(slices.Values(sent)), slices.Sorted(slices.Values(arrived))
		}
		if !slices.Equal(sent, arrived) {
			faults = append(faults, fmt.Sprintf("of the %v's %d packets %d arrived, and not all as they were sent", side(i), len(sent), len(arrived)))
		}
	}
	return faults
}

// lossy fails unless what arrived was sent, and what no lawful sender sends did not.
func lossy(p *play) (faults []string) {
	for i := range p.sent {
		left := slices.Clone(p.sent[i])
		for _, tp := range p.arrived[i] {
			at := slices.Index(left, tp)
			if at < 0 {
				faults = append(faults, fmt.Sprintf("the %v's %q arrived, and was not sent", side(i), tail(payload(tp))))
				continue
			}
			left = slices.Delete(left, at, at+1)
			if slices.Contains(p.odd, tp) {
				faults = append(faults, fmt.Sprintf("%q arrived", payload(tp)))
			}
		}
	}
	return faults
}

// refused says what is wrong with a command that was refused: the server must have got a
// NOOP of the same length, and the client a refusal.
func refused(f *Fixture, p *play) (faults []string) {
	said, heard := p.said[client], p.heard[server]
	at := len(said) - len(p.command)
	switch {
	case len(heard) != len(said) || heard[:at] != said[:at]:
		faults = append(faults, fmt.Sprintf("the server heard %q", tail(heard)))
	case strings.TrimRight(heard[at:], " \r\n") != "NOOP" || !strings.HasSuffix(heard, "\r\n"):
		faults = append(faults, fmt.Sprintf("in place of %q the server heard %q", p.command, heard[at:]))
	}
	reply := p.heard[client]
	reply = reply[strings.LastIndexByte(strings.TrimRight(reply, "\r\n"), '\n')+1:]
	if !strings.HasPrefix(reply, f.Refusal+" ") || f.Refusal == "" || len(p.heard[client]) != len(p.said[server]) {
		faults = append(faults, fmt.Sprintf("the client heard %q, want %q in as many octets as %q", reply, f.Refusal, p.said[server]))
	}
	return faults
}

// hidden fails unless the first session passed as it was, and the next one did not see the
// offer, in a reply of the same length.
func hidden(p *play) (faults []string) {
	said, heard := p.said[server], p.heard[client]
	begin := strings.LastIndex(said, greeting)
	if len(heard) != len(said) || heard[:begin] != said[:begin] || strings.Contains(heard[begin:], "STARTTLS") || !strings.Contains(said[begin:], "STARTTLS") {
		faults = append(faults, fmt.Sprintf("the client heard %q", heard[min(begin, len(heard)):]))
	}
	if p.heard[server] != p.said[client] {
		faults = append(faults, "the server did not hear what the client said")
	}
	return faults
}

// killed says what is wrong with a connection that was ended.
func killed(f *Fixture, p *play) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for i, reset := range p.wasReset {
		if !reset {
			fault("the %v was not reset", side(i))
		}
	}
	if !strings.HasPrefix(p.said[client], p.heard[server]) {
		fault("the server heard %q", tail(p.heard[server]))
	}
	heard, farewell, isTold := strings.Cut(p.heard[client], "421 4.7.0 ")
	switch {
	case isTold != f.Told:
		fault("the client was told 421: %v, want %v", isTold, f.Told)
	case isTold && !strings.HasSuffix(farewell, "\r\n"):
		fault("the client was told %q", farewell)
	case isTold && heard != "" && !strings.HasSuffix(heard, "\n"):
		fault("the client was told 421 within a line")
	}
	if !strings.HasPrefix(p.said[server], heard) {
		fault("the client heard %q", tail(heard))
	}
	for i := range p.arrived {
		for _, tp := range p.arrived[i] {
			if b := payload(tp); b != "" && (tp == p.last || b == afterthought) {
				fault("the %v's %.40q arrived", side(i), b)
			}
		}
	}
	return faults
}

// tail is the end of what was said, for a message.
func tail(said string) string { return said[max(0, len(said)-80):] }
