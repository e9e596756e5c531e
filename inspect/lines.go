package inspect

import (
	"keepword/inspect/smtp"
	"keepword/inspect/verdict"
)

// Lengths of lines, with their ends.
const (
	maxCommandLine = 512 // RFC 5321 §4.5.3.1.4
	maxReplyLine   = 512 // RFC 5321 §4.5.3.1.5
	// maxEnvelopeLine is that of MAIL and RCPT, whose limits extensions raise (RFC 1870 §3,
	// RFC 3461 §4, RFC 6531 §3.4).
	maxEnvelopeLine = smtp.MaxHead
	maxAuthLine     = 12288 // RFC 4954 §4
	// maxLine is what no line of a dialogue has: 64 KiB.
	maxLine = 64 << 10
)

func commandLimit(v smtp.Verb) int {
	switch v {
	case smtp.VerbMAIL, smtp.VerbRCPT:
		return maxEnvelopeLine
	case smtp.VerbAUTH, smtp.VerbAuthResponse:
		return maxAuthLine
	}
	return maxCommandLine
}

// judgeLine judges a line of a dialogue by its octets (RFC 5321 §2.3.8, §4.5.3.1), and
// says whether that ended the connection.
func (p *Pipeline) judgeLine(s *session, d int, odd smtp.LineFlags, length, limit int, line []byte) (ended bool) {
	if odd&^smtp.TooLong == 0 && length <= limit {
		return false
	}
	return odd&(smtp.BareLF|smtp.BareCR) != 0 && p.onceAct(s, verdict.BareNewline, d, 0, line) ||
		odd&smtp.NUL != 0 && p.onceAct(s, verdict.NULOctet, d, 0, line) ||
		length > limit && p.onceAct(s, verdict.LineTooLong, d, 0, line)
}

// endless is for a line that does not end: no program has such a one, and whoever waits
// for its end is kept waiting.
func (p *Pipeline) endless(s *session, d int) (ended bool) {
	bit := uint64(1) << verdict.LineTooLong
	if s.reported&bit != 0 && !s.enforce {
		return false
	}
	s.reported |= bit
	action := s.rules.Action(verdict.LineTooLong)
	if action != verdict.Pass {
		action = verdict.Kill
	}
	return p.actAs(s, verdict.LineTooLong, action, d, 0, nil)
}

// judgeOrder judges whether a command may come now.
func (p *Pipeline) judgeOrder(s *session, ev *smtp.ClientEvent) (ended bool) {
	if s.midstream {
		return false // what came before, nobody knows
	}
	early := ev.Flags&smtp.Early != 0 && ev.Verb != smtp.VerbPROXY // RFC 5321 §4.3.1
	return (early || ev.Flags&smtp.Grouped != 0) &&
		p.onceAct(s, verdict.UnauthorisedPipelining, toServer, 0, []byte(ev.Verb.String()))
}

// judgeReply judges whether a line is one of a reply (RFC 5321 §4.2). An answer to STARTTLS
// is judged as that.
func (p *Pipeline) judgeReply(s *session, ev *smtp.ServerEvent) (ended bool) {
	sound := 200 <= ev.Code && ev.Code < 600 && !ev.Differs
	return !sound && ev.To.Verb != smtp.VerbSTARTTLS && ev.To.Verb != smtp.VerbXANONYMOUSTLS && p.onceAct(s, verdict.ReplyMalformed, toClient, ev.Code, ev.Line)
}
