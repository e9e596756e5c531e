// Package starttls is the ledger of the one promise that an SMTP session makes: what
// was offered, asked, answered, and whether TLS then began (RFC 3207).
//
// Every broken promise of the catalogue is a transition of the ledger. It judges;
// what is done about it is policy's.
package starttls

import (
	"bytes"

	"keepword/inspect/smtp"
	"keepword/inspect/tlsrecord"
	"keepword/inspect/verdict"
)

// State is how far the promise has come.
type State uint8

const (
	// Clear: STARTTLS is not under way.
	Clear State = iota
	// Asked: the client's STARTTLS waits for its reply.
	Asked
	// Answered: after 220, before a ClientHello.
	Answered
	// ClientHello: after it, before the ServerHello.
	ClientHello
	// Begun: after the ServerHello; records are still followed.
	Begun
	// Kept: both ends have sent protected data. There is nothing more to see.
	Kept
)

// tls13 is TLS 1.3's version (RFC 8446 §4.2.1).
const tls13 = 0x0304

// Found are the findings of one step, in order.
type Found struct {
	list [4]verdict.Finding
	n    uint8
}

func (f *Found) add(v verdict.Finding) {
	if int(f.n) < len(f.list) {
		f.list[f.n] = v
		f.n++
	}
}

// List returns the findings, lent until f changes.
func (f *Found) List() []verdict.Finding { return f.list[:f.n] }

// Ledger is one session's. Its zero value is the session's start.
type Ledger struct {
	state   State
	steps   [Steps]Step
	nsteps  uint8
	taken   uint16 // bit per Step, and per note behind them
	reply   uint16 // code that answered STARTTLS
	version uint16 // that the ServerHello chose
	minimum uint16 // lowest TLS version without a finding

	offers     bool // the EHLO reply under way, or the last, offers STARTTLS
	ehlos      uint8
	offered    bool // an earlier EHLO reply did
	authed     bool // 235 was given
	refused    bool
	implicit   bool // TLS from the first octet, never asked for
	clientData bool // its keys were seen in use
	serverData bool
	sawServer  bool // any octet of the server behind its 220
	alerted    bool
}

// Notes are bits of taken behind the steps: a session has no octet to spare.
const (
	noteOdd  = Steps + iota // what was asked for is not STARTTLS to every server, or not there
	noteDeaf                // the server answered TLS in clear text, and had shown none
)

// note sets or clears a note.
func (l *Ledger) note(n Step, on bool) {
	l.taken &^= 1 << n
	if on {
		l.taken |= 1 << n
	}
}

// Init makes l a session's start. minimum is the lowest TLS version of a
// ServerHello without a finding, 0 for any.
func (l *Ledger) Init(minimum uint16) { *l = Ledger{minimum: minimum} }

// State returns how far the promise has come.
func (l *Ledger) State() State { return l.state }

// Offered says whether the latest EHLO reply offered STARTTLS, as the server sent it.
func (l *Ledger) Offered() bool { return l.offers }

// Introduced says that the server has answered an EHLO, so that what it offers is known.
func (l *Ledger) Introduced() bool { return l.ehlos > 0 }

// ReplyCode returns the code that answered STARTTLS last, 0 where none did.
func (l *Ledger) ReplyCode() int { return int(l.reply) }

// Version returns the TLS version that the ServerHello chose, 0 where none was seen.
func (l *Ledger) Version() uint16 { return l.version }

// Implicit says that TLS began with the first octet (RFC 8314 §3 on another's port).
func (l *Ledger) Implicit() bool { return l.implicit }

// Deaf says that the server answered the ClientHello in clear text and had not shown that
// it knows TLS. Behind an alert, clear text shows nothing: a server may go back to its
// dialogue when the client's handshake is at fault.
func (l *Ledger) Deaf() bool { return l.Took(noteDeaf) }

// SawServer says that the server has sent anything after its 220.
func (l *Ledger) SawServer() bool { return l.sawServer }

// Take notes a step, once.
func (l *Ledger) Take(s Step) {
	if l.taken&(1<<s) != 0 {
		return
	}
	l.taken |= 1 << s
	l.steps[l.nsteps] = s
	l.nsteps++
}

// Took says that a step was taken.
func (l *Ledger) Took(s Step) bool { return l.taken&(1<<s) != 0 }

// Steps returns the steps in order of happening, lent until l changes.
func (l *Ledger) Steps() []Step { return l.steps[:l.nsteps] }

// Greeting judges a line of the greeting.
func (l *Ledger) Greeting(text []byte) (f Found) {
	if masked(text, "*20 ", '*') {
		f.add(verdict.GreetingMasked)
	}
	return f
}

// masked says that text has at least four octets, all from set, and must among them.
func masked(text []byte, set string, must byte) bool {
	return len(text) >= 4 && bytes.IndexByte(text, must) >= 0 && len(bytes.Trim(text, set)) == 0
}

// EHLOLine reads a line of a positive EHLO reply (RFC 5321 §4.1.1.1). offer says that
// it is the offer of STARTTLS (RFC 3207 §2).
func (l *Ledger) EHLOLine(ev *smtp.ServerEvent) (offer bool, f Found) {
	if ev.First {
		if l.offers {
			l.offered = true
		}
		l.offers = false
		l.ehlos += b2u(l.ehlos < 2)
		return false, f // the server's name and greeting
	}
	keyword := ev.Keyword
	if len(keyword) == 0 {
		// A client that cuts the line at its blanks finds the keyword behind leading ones.
		keyword, _ = smtp.Keyword(bytes.TrimLeft(ev.Text, " \t"))
	}
	switch {
	case smtp.EqualFold(keyword, "STARTTLS"):
		l.offers = true
		l.Take(StepOffered)
		offer = true
	case maskedKeyword(keyword):
		f.add(verdict.OfferMasked)
	}
	return offer, f
}

// maskedKeyword knows the marks of boxes that overwrite a keyword with X. The ASA's last
// letter counts the keywords that it has masked: A, B, C.
// 16 are more than a reply has.
func maskedKeyword(k []byte) bool {
	if len(k) < 4 {
		return false
	}
	last := k[len(k)-1]
	return len(bytes.TrimLeft(k[:len(k)-1], "X")) == 0 && (last == 'X' || 'A' <= last && last <= 'P')
}

// EHLOEnd judges a positive EHLO reply at its last line.
func (l *Ledger) EHLOEnd() (f Found) {
	if l.ehlos == 2 && l.offered != l.offers && l.state == Clear {
		f.add(verdict.OfferInconsistent)
	}
	l.offered = l.offers
	return f
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// Ask enters the client's STARTTLS.
func (l *Ledger) Ask(ev *smtp.ClientEvent) (f Found) {
	l.Take(StepAsked)
	l.state = Asked
	l.note(noteOdd, ev.Verb != smtp.VerbSTARTTLS || len(ev.Line) > len("STARTTLS") ||
		ev.Flags&(smtp.Parameter|smtp.Malformed|smtp.InTransaction) != 0)
	if ev.Verb == smtp.VerbXANONYMOUSTLS {
		f.add(verdict.XAnonymoustls)
		return f
	}
	if !l.offers {
		f.add(verdict.STARTTLSNotOffered)
	}
	if ev.Flags&smtp.Parameter != 0 {
		f.add(verdict.STARTTLSWithParameter)
	}
	if ev.Flags&smtp.Malformed != 0 {
		f.add(verdict.STARTTLSMalformed)
	}
	if ev.Flags&smtp.InTransaction != 0 {
		f.add(verdict.STARTTLSInTransaction)
	}
	return f
}

// Withdraw says that the client's STARTTLS was refused before the server saw it.
func (l *Ledger) Withdraw() { l.state = Clear }

// Unfit says which finding a reply line to STARTTLS is, if its code can't be an answer
// (RFC 3207 §4: 220, 501, 454; RFC 5321 §4.2.1: any other 4yz or 5yz is a refusal).
func Unfit(code int) verdict.Finding {
	switch {
	case code == 220, 400 <= code && code < 600:
		return verdict.NoFinding
	case 200 <= code && code < 300:
		return verdict.AnsweredForServer
	}
	return verdict.UnfitAnswer
}

// Answer enters the last line of the reply to STARTTLS.
func (l *Ledger) Answer(ev *smtp.ServerEvent) (f Found) {
	l.Take(StepAnswered)
	l.reply = uint16(ev.Code)
	if ev.Code == 220 {
		l.state = Answered
		l.refused = false
		if l.authed {
			f.add(verdict.AuthBeforeTLS)
		}
		return f
	}
	l.state = Clear
	if u := Unfit(ev.Code); u != verdict.NoFinding {
		f.add(u)
		return f
	}
	l.refused = true
	switch {
	case ev.Code == 454 && containsFold(ev.Text, "TOO MANY"):
		f.add(verdict.TLSRateLimited)
	case !l.offers, l.Took(noteOdd), ev.Code == 421, ev.Code == 501, ev.Code == 503:
		// The client's fault, or no word about TLS: the offer itself is not refused.
	case ev.Code == 454:
		f.add(verdict.OfferRefusedTemporarily)
	case ev.Code >= 500:
		f.add(verdict.OfferRefused)
	}
	return f
}

// containsFold says whether text holds s, which is upper case.
func containsFold(text []byte, s string) bool {
	for i := 0; i+len(s) <= len(text); i++ {
		if smtp.HasPrefixFold(text[i:], s) {
			return true
		}
	}
	return false
}

// Believed says that STARTTLS was last answered by a false acceptance that the client
// was let to see: it may take it for a 220.
func (l *Ledger) Believed() bool {
	return Unfit(int(l.reply)) == verdict.AnsweredForServer && !l.Took(StepCorrected)
}

// Authenticated enters a 235.
func (l *Ledger) Authenticated() { l.authed = true }

// Surplus judges a reply that nothing asked for. A server may say 421 at any time
// (RFC 5321 §3.8).
func (l *Ledger) Surplus(code int) (f Found) {
	if code != 421 {
		f.add(verdict.SurplusReply)
	}
	return f
}

// BeginImplicit says that the client's first octets are a ClientHello.
func (l *Ledger) BeginImplicit() (f Found) {
	l.state, l.implicit = Answered, true
	f.add(verdict.ImplicitTLS)
	return f
}

// ClientRecord enters what the client sent after 220.
func (l *Ledger) ClientRecord(ev tlsrecord.Event) (f Found) {
	switch ev {
	case tlsrecord.NotTLS:
		if l.state >= Begun || l.implicit {
			f.add(verdict.PlaintextAfterTLS)
		} else {
			f.add(verdict.PlaintextFromClientAfter220)
		}
	case tlsrecord.ClientHello:
		l.Take(StepClientHello)
		if l.state == Answered {
			l.state = ClientHello
		}
	case tlsrecord.Alert:
		l.alert(&f)
	case tlsrecord.ApplicationData, tlsrecord.ChangeCipherSpec:
		l.clientData = l.clientData || l.proves(ev)
		l.kept()
	}
	return f
}

// ServerRecord enters what the server sent after its 220; version is that of a
// ServerHello.
func (l *Ledger) ServerRecord(ev tlsrecord.Event, version uint16) (f Found) {
	l.sawServer = true
	switch ev {
	case tlsrecord.NotTLS:
		switch {
		case l.implicit:
			f.add(verdict.PlaintextAfterTLS)
		case l.state == Answered:
			f.add(verdict.ResponseInjection)
		case l.state == ClientHello:
			f.add(verdict.PlaintextFromServerAfter220)
			l.note(noteDeaf, !l.alerted)
			l.alerted = true // the end of the handshake is no news then
		default:
			f.add(verdict.PlaintextAfterTLS)
		}
	case tlsrecord.ServerHello, tlsrecord.HelloRetryRequest:
		if l.state == Answered { // before any ClientHello: nobody's answer
			f.add(verdict.ResponseInjection)
			return f
		}
		if ev == tlsrecord.HelloRetryRequest {
			return f
		}
		l.Take(StepServerHello)
		l.version = version
		if l.state == ClientHello {
			l.state = Begun
		}
		if version < l.minimum {
			f.add(verdict.TLSTooOld)
		}
	case tlsrecord.Alert:
		l.alert(&f)
	case tlsrecord.ApplicationData, tlsrecord.ChangeCipherSpec:
		l.serverData = l.serverData || l.proves(ev)
		l.kept()
	}
	return f
}

// proves says that a record shows its sender's keys in use: up to TLS 1.2 a
// ChangeCipherSpec does (RFC 5246 §7.1), in TLS 1.3 it means nothing (RFC 8446 §5).
func (l *Ledger) proves(ev tlsrecord.Event) bool {
	return ev == tlsrecord.ApplicationData || l.Took(StepServerHello) && l.version < tls13
}

func (l *Ledger) kept() {
	if l.state == Begun && l.clientData && l.serverData {
		l.state = Kept
	}
}

func (l *Ledger) alert(f *Found) {
	if !l.alerted && l.state != Kept && !(l.clientData && l.serverData) {
		l.alerted = true
		f.add(verdict.HandshakeFailed)
	}
}

// Close judges the end of the connection.
func (l *Ledger) Close() (f Found) {
	if !l.implicit && (l.state == Answered || l.state == ClientHello || l.state == Begun && !l.serverData && !l.clientData) {
		l.alert(&f)
	}
	return f
}

// Outcome sums the session up. killed says that keepword ended it, lost that part
// of it went unseen.
func (l *Ledger) Outcome(killed, lost bool) Outcome {
	switch {
	case l.Took(StepServerHello):
		return OutcomeUpgraded
	case killed:
		return OutcomeKilled
	case l.Took(StepCorrected):
		return OutcomeCorrected
	case !lost && l.reply == 220, !lost && l.implicit:
		return OutcomeBroken
	case l.Took(StepHidden):
		return OutcomeHidden
	case l.refused:
		return OutcomeRefused
	case lost, l.state == Asked:
		return OutcomeUnknown
	case l.Took(StepAnswered):
		return OutcomeBroken // a false acceptance that was let through
	case l.Took(StepOffered):
		return OutcomeNotAsked
	}
	return OutcomeNotOffered
}
