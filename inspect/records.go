package inspect

import (
	"bytes"

	"keepword/inspect/history"
	"keepword/inspect/seqnum"
	"keepword/inspect/starttls"
	"keepword/inspect/tlsrecord"
	"keepword/inspect/verdict"
)

// handshake is what only a session in its TLS handshake needs.
type handshake struct {
	records [2]tlsrecord.Parser
	proven  [2]seqnum.Value // leaving: octets before it show that TLS is up
}

// handshake begins to read records in place of lines.
func (p *Pipeline) handshake(s *session) {
	s.phase = handshaking
	s.tls = p.handshakes.get()
	if s.early == earlyOctets {
		// Let through by policy. A server reads them before TLS begins.
		s.half[toServer].parsed = s.half[toServer].stream.Next()
	}
}

// readRecords consumes octets of a session after 220.
func (p *Pipeline) readRecords(s *session, d int, b []byte) {
	h := &s.half[d]
	parser := &s.tls.records[d]
	n, ev := parser.Parse(b)
	h.parsed = h.parsed.Add(n)
	if d == toServer {
		p.clientRecord(s, parser, ev, b[n:])
	} else {
		p.serverRecord(s, parser, ev, b[n:])
	}
	switch {
	case s.phase != handshaking:
	case s.led.State() == starttls.Kept:
		p.say(s, SaidProtected, 0)
		if !s.led.Implicit() {
			p.learn(s, history.Seen{Kind: history.Worked, Version: s.led.Version()})
		}
		p.leave(s)
	case ev == tlsrecord.NotTLS && d == toClient && p.skipLine(s, b[n:]):
	case ev == tlsrecord.NotTLS:
		// Policy lets it be: nobody knows what this is.
		h.parsed = h.stream.Next()
		p.stats.lost(causeNotTLS, WhenPass)
		p.pass(s)
	}
}

// leave lets a session go into TLS, when its proof has arrived.
func (p *Pipeline) leave(s *session) {
	if !s.enforce {
		p.pass(s)
		return
	}
	s.phase = leaving
	for d := range s.half {
		s.tls.proven[d] = s.half[d].parsed
	}
}

// hasLeft says that both ends have acknowledged the proof.
func (s *session) hasLeft() bool {
	for d := range s.half {
		if h := &s.half[d]; h.acked.Max(h.unseen).Less(s.tls.proven[d]) {
			return false
		}
	}
	return true
}

// skipLine leaves out a line in clear text that policy has let through between a 220 and
// the ServerHello, rest's first octets: TLS may begin behind it all the same. It says
// whether rest is there.
func (p *Pipeline) skipLine(s *session, rest []byte) bool {
	if s.led.Implicit() || s.led.State() >= starttls.Begun {
		return false
	}
	n := bytes.IndexByte(rest, '\n') + 1
	if n == 0 {
		n = len(rest)
	}
	h := &s.half[toClient]
	h.parsed = h.parsed.Add(n)
	s.tls.records[toClient] = tlsrecord.Parser{}
	s.clearText = true
	return true
}

func (p *Pipeline) clientRecord(s *session, parser *tlsrecord.Parser, ev tlsrecord.Event, rest []byte) {
	if ev == tlsrecord.ClientHello {
		p.say(s, SaidClientHello, 0)
		p.note(s, saidSNI, parser.SNI())
		if p.timed(s) {
			p.timers.silenceLog.push(p.now+silenceLog, p.entry.Slot(), s.id)
		}
	}
	var detail []byte
	switch ev {
	case tlsrecord.Alert:
		p.say(s, SaidAlert, toServerBit)
		detail = []byte(parser.AlertName())
	case tlsrecord.NotTLS:
		detail = rest
		if s.half[toClient].ended() { // nobody reads, for example, the client's QUIT
			p.actAll(s, s.led.Close(), toServer, 0, []byte(closedEarly))
			return
		}
	}
	p.actAll(s, s.led.ClientRecord(ev), toServer, 0, detail)
}

func (p *Pipeline) serverRecord(s *session, parser *tlsrecord.Parser, ev tlsrecord.Event, rest []byte) {
	var detail []byte
	switch ev {
	case tlsrecord.ServerHello:
		p.say(s, SaidServerHello, parser.Version())
		detail = []byte(versionName(parser.Version()))
	case tlsrecord.Alert:
		p.say(s, SaidAlert, 0)
		detail = []byte(parser.AlertName())
	case tlsrecord.NotTLS:
		if s.clearText && s.led.State() < starttls.Begun {
			return // another line of the same
		}
		detail = rest
	}
	p.actAll(s, s.led.ServerRecord(ev, parser.Version()), toClient, 0, detail)
}

// timed says that the server's silence is to be timed.
func (p *Pipeline) timed(s *session) bool {
	return !s.led.Implicit() && s.rules.Action(verdict.SilenceAfter220) != verdict.Pass
}

var versionNames = map[uint16]string{0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

func versionName(v uint16) string { return versionNames[v] }
