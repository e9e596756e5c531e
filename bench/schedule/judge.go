package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// judge compares what both applications have got with what was inspected.
func (o *Outcome) judge(a *account, flows []*readFlow) {
	var b strings.Builder
	for _, f := range flows {
		o.Edited = o.Edited || len(f.streams[ClientSide].edits)+len(f.streams[ServerSide].edits) > 0
	}
	for side := range a.got {
		for _, got := range a.got[side] {
			if len(got) > 0 && !slices.ContainsFunc(flows, func(f *readFlow) bool { return f.explains(Side(side), got) }) {
				fmt.Fprintf(&b, "what was got of the %v was not inspected:\n  %s\n", Side(side), quote(got))
			}
		}
	}
	// What a hostile server's application offers is not what its packets say.
	isOffered := o.Side == ClientSide || o.Lawful
	for _, verb := range a.acted {
		if isOffered && forbidden[o.Policy](verb, o.Lawful) {
			fmt.Fprintf(&b, "the server acts on %s\n", verb)
		}
	}
	if o.Policy == Hide && o.Side == ClientSide && offers(a.got[ServerSide][0]) {
		b.WriteString("the client sees the offer\n")
	}
	if o.Lawful {
		o.judgeLawful(&b, a, flows)
	}
	if b.Len() == 0 {
		return
	}
	for _, f := range flows {
		fmt.Fprintf(&b, "inspected, with the findings %q:\n", f.findings)
		for side := range f.streams {
			s := &f.streams[side]
			fmt.Fprintf(&b, "  of the %v %s\n", Side(side), quote(s.octets))
			for _, e := range s.edits {
				fmt.Fprintf(&b, "    edited from %d on: %q\n", e.at, e.octets)
			}
		}
	}
	o.Violation = b.String()
}

// forbidden are the commands in clear text that a policy keeps from the server. AUTH is
// one only behind an offer that is known, which a lawful client waits for.
var forbidden = [policies]func(verb string, lawful bool) bool{
	Auto: func(string, bool) bool { return false },
	Require: func(verb string, _ bool) bool {
		return strings.HasPrefix(verb, "MAIL") || strings.HasPrefix(verb, "AUTH")
	},
	Hide: func(verb string, _ bool) bool { return verb == "STARTTLS where STARTTLS is offered" },
	Refuse: func(verb string, lawful bool) bool {
		return verb == "STARTTLS" || lawful && verb == "AUTH where STARTTLS is offered"
	},
}

// offers says that a reply to EHLO offers STARTTLS.
func offers(octets []byte) bool {
	return bytes.Contains(octets, []byte("\n250-STARTTLS")) || bytes.Contains(octets, []byte("\n250 STARTTLS"))
}

// judgeLawful is for a schedule whose mail must arrive: what was said, with the edits
// laid over it, was got.
func (o *Outcome) judgeLawful(b *strings.Builder, a *account, flows []*readFlow) {
	if !o.Complete || !o.Answered {
		fmt.Fprintf(b, "a lawful sender did not complete (said all: %v, got every reply: %v, reset: %v)\n", o.Complete, o.Answered, o.Reset)
		return
	}
	if len(flows) != 1 {
		fmt.Fprintf(b, "a lawful sender's connection was inspected as %d\n", len(flows))
		return
	}
	for side := range a.got {
		said := flows[0].streams[side].overlaid(a.said[side])
		if len(a.got[side]) != 1 || !bytes.Equal(a.got[side][0], said) {
			fmt.Fprintf(b, "what was got of the %v is not what it said:\n  got %d octets in %d connections, said %d\n", Side(side), len(slices.Concat(a.got[side]...)), len(a.got[side]), len(said))
		}
	}
}

// explains says that octets that were got of a side are as they were inspected: the
// beginning of what was inspected, with the edits laid over it. Two may follow it: what
// is said in TLS, and the farewell with which a client is told why its connection ends.
func (f *readFlow) explains(side Side, got []byte) bool {
	stream := &f.streams[side]
	if bytes.HasPrefix(stream.overlaid(stream.octets), got) {
		return true
	}
	if f.secured() && len(got) > len(stream.octets) {
		return bytes.HasPrefix(got, stream.overlaid(stream.octets))
	}
	if end := bytes.LastIndex(got, []byte("421 4.7.0 ")); side == ServerSide && f.mayEnd && end >= 0 && isOneLine(got[end:]) {
		return bytes.HasPrefix(stream.overlaid(stream.octets), got[:end])
	}
	return false
}

// isOneLine says that octets are a line with its end.
func isOneLine(b []byte) bool { return bytes.Index(b, []byte("\r\n")) == len(b)-2 }

// secured says that both sides were seen to protect what they say, so that inspection
// has nothing more to read.
func (f *readFlow) secured() bool {
	return protectsBehind(f.streams[ServerSide].octets, "220") && protectsBehind(f.streams[ClientSide].octets, "STARTTLS")
}

// protectsBehind says that behind some line that begins with word there are TLS records
// that show keys in use.
func protectsBehind(b []byte, word string) bool {
	for {
		_, rest, found := bytes.Cut(b, []byte("\n"+word))
		if !found {
			return false
		}
		_, records, _ := bytes.Cut(rest, []byte("\n"))
		if isProtected(records) {
			return true
		}
		b = rest
	}
}

// isProtected says that the last of TLS records is one that only keys in use explain:
// application data, or up to TLS 1.2 a ChangeCipherSpec (RFC 5246 section 7.1). Of the
// last record inspection may have read a part.
func isProtected(records []byte) bool {
	const header, changeCipherSpec, handshake, applicationData = 5, 20, 22, 23
	changed := false
	for len(records) > 0 {
		switch records[0] {
		case applicationData:
			return true
		case changeCipherSpec:
			changed = true
		case handshake:
		default:
			return false
		}
		if len(records) < header {
			break
		}
		n := header + int(records[3])<<8 + int(records[4])
		records = records[min(n, len(records)):]
	}
	return changed
}
