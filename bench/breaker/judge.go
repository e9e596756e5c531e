package main

import (
	"bytes"
	"fmt"
	"slices"

	"keepword/bench/lab/broken"
)

// judge reads what was recorded of a story and says what is not as it must be.
func (s *story) judge() {
	for _, at := range []*site{s.site, s.other} {
		at.read()
		for i, a := range at.attempts {
			for _, f := range a.judge() {
				s.faults = append(s.faults, fmt.Sprintf("attempt %d (%s): %s", i+1, a.news, f))
			}
		}
		s.faults = append(s.faults, at.judgeMail()...)
	}
}

// judge says what is wrong with an attempt.
func (a *attempt) judge() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if a.want == noMail {
		return a.judgeProbe()
	}
	if a.result.Outcome != a.want.outcome() || a.result.TLS != (a.want == inTLS) {
		fault("the mail is %s (TLS: %v), want: %v\n%s", a.result.Outcome, a.result.TLS, a.want, a.result.Transcript)
	}
	if hidden := a.outcome == "hidden"; hidden != (a.want == unasked && a.wantState != closed) {
		fault("starttls.outcome is %q", a.outcome)
	}
	if a.state != a.wantState {
		fault("the breaker is %s, want %s", a.state, a.wantState)
	}
	var names []string
	for _, e := range a.events {
		names = append(names, name(e))
	}
	if !slices.Equal(names, a.wantEvents) {
		fault("reported %q, want %q", names, a.wantEvents)
	}
	if len(a.client.words) == 0 || len(a.server.words) == 0 {
		fault("nothing was seen: client %q, server %q", a.client.words, a.server.words)
	}
	// What the ending means on both wires. A round trip is a command and its reply before
	// the mail: EHLO, and STARTTLS where it is asked.
	switch clear := a.client.mail && a.server.mail; a.want {
	case inTLS:
		if a.outcome != "upgraded" || a.client.mail || a.server.mail || !a.client.offered || !a.server.asked {
			fault("not what TLS looks like: client %q, server %q", a.client.words, a.server.words)
		}
	case inVain:
		if !clear || !a.client.offered || !a.client.asked || a.client.trips != 2 {
			fault("want an offer, STARTTLS and mail in clear text: client %q, server %q", a.client.words, a.server.words)
		}
	case unasked:
		trips := 1
		if a.client.noEHLO {
			trips++ // for HELO
		}
		if !clear || a.client.offered || a.client.asked || a.server.asked || a.client.trips != trips {
			fault("want no offer, no STARTTLS, and mail in clear text: client %q, server %q", a.client.words, a.server.words)
		}
	case putOff, bounced:
		if a.server.mail {
			fault("mail in clear text has reached the server: %q", a.server.words)
		}
	}
	return faults
}

// judgeProbe says what is wrong with a session that sends no mail.
func (a *attempt) judgeProbe() (faults []string) {
	var changes []string
	for _, e := range a.events {
		if len(e.Alert.Metadata["breaker"]) > 0 {
			changes = append(changes, name(e))
		}
	}
	if !slices.Equal(changes, a.wantEvents) || a.state != a.wantState {
		faults = append(faults, fmt.Sprintf("the breaker is %s by %q, want %s by %q", a.state, changes, a.wantState, a.wantEvents))
	}
	if len(a.client.words) == 0 || len(a.server.words) == 0 {
		faults = append(faults, fmt.Sprintf("nothing was seen: client %q, server %q", a.client.words, a.server.words))
	}
	return faults
}

// judgeMail says what is wrong with what has arrived: each message that was delivered must
// be there once, octet for octet, and no other.
func (s *site) judgeMail() (faults []string) {
	var got []broken.Message
	for _, server := range s.servers {
		got = append(got, server.Messages()...)
	}
	want := 0
	var seen []*mail
	for _, a := range s.attempts {
		if a.mail == nil || slices.Contains(seen, a.mail) {
			continue
		}
		seen = append(seen, a.mail)
		n := 0
		for _, m := range got {
			if bytes.HasSuffix(m.Data, a.mail.Text) && m.TLS == a.mail.tls && slices.Equal(m.To, []string{a.mail.To}) {
				n++
			}
		}
		due := 0
		if a.mail.out == inTLS.outcome() {
			due = 1
		}
		want += due
		if n != due {
			faults = append(faults, fmt.Sprintf("message %s has arrived %d times, want %d", a.mail.ID, n, due))
		}
	}
	if len(got) != want {
		faults = append(faults, fmt.Sprintf("%d messages have arrived, want %d", len(got), want))
	}
	return faults
}
