// Package maildata follows mail data, the octets between a 354 reply and CRLF.CRLF (RFC
// 5321 §4.1.1.4, §4.5.2), and does no I/O.
//
// The end of mail data is CRLF.CRLF and nothing else. Beside it, and never instead of
// it, the package follows what careless servers take for the end (a dot between line
// ends that are not both CRLF): where a command stands behind such an ending, a second
// message is being smuggled past whoever reads as the standard says. Cutting the same
// octets differently gives the same events.
package maildata

import "math"

// Limits.
const (
	// MaxTextLine is the length of a text line with its CRLF and without the dot that was
	// put before it for transparency: RFC 5321 §4.5.3.1.6.
	MaxTextLine = 1000
	// MaxLine is the length from which on a line is no text: 64 KiB.
	MaxLine = 64 << 10
	// MaxLines is how many lines behind an ending are read, those that begin with a verb not
	// counted. A server that took the ending for the end takes lines of text for bad
	// commands, and gives up on them: Postfix after 20 (smtpd_hard_error_limit), sendmail
	// after 25 (MAXBADCOMMANDS). An AUTH that fails is one of them and takes two lines more.
	MaxLines = 64
	// shortBuffer is the length from which on a line may be cut anywhere. Servers must take
	// lines of so many octets (RFC 5321 §4.5.3.1.4), and some take what goes beyond their
	// buffer for the next command: Exim beyond 16,384.
	shortBuffer = 512
)

// Kind is what Scan found.
type Kind uint8

const (
	// None: the octets are used up.
	None Kind = iota
	// EndOfData: mail data has ended.
	EndOfData
	// Smuggling: a line behind a lenient ending reads as a command, the first line as any
	// (see scope), one of the next ones as MAIL, or begins with RCPT behind one that begins
	// with MAIL. Its last octet is the one with which some server takes the line for complete.
	Smuggling
	// LongLine: a line exceeds MaxTextLine, for the first time in these mail data.
	LongLine
	// EndlessLine: a line exceeds MaxLine, for the first time in these mail data.
	EndlessLine
)

// Event is what Scan found.
type Event struct {
	Kind   Kind
	Ending Ending // Smuggling: what the line stands behind
	// Start is the place in the octets given of the first octet of the line that is read
	// as a command, negative where it lies before them. It has a meaning with Smuggling,
	// and where Following says so; behind Smuggling the next line begins where the next
	// octets do.
	Start int
}

// The ways in which a server may cut lines behind an ending.
const (
	cutCR = iota
	cutLF
	cutCRLF
	cuts
)

// Scanner follows the mail data of one DATA, or of the BDATs of one message. Init or
// InitChunks makes it ready.
type Scanner struct {
	line   reader      // the line at hand, where it is read as a command
	length uint32      // of the line at hand so far; saturated at maxLength
	left   [cuts]uint8 // lines still to be read behind the ending, for each way to cut them
	atLine uint8       // bit per way: the line at hand begins where one begins for it
	spared uint8       // bit per way: its line begins with a verb, and does not count
	ending Ending      // the latest one
	tail   tail
	dotted bool // the line at hand begins with a dot
	told   Kind // None, LongLine or EndlessLine: the longest that was reported
	chunks bool // the octets of BDAT, which nothing among them ends
	endsLF bool // an ending ended with LF: whoever took it ends lines there, and not at a CR
}

// maxLength keeps Scanner.length from wrapping. It is beyond every limit.
const maxLength = 16 * MaxLine

// Init makes s the start of mail data, behind the CRLF of the DATA line.
func (s *Scanner) Init() { *s = Scanner{tail: atStart} }

// InitChunks makes s the start of a message that comes by BDAT (RFC 3030 §2). Its octets
// are counted: CRLF.CRLF among them is text, and any line may be as long as it will. But a
// server that hands the message on by DATA gives the lenient endings in it to the next one.
func (s *Scanner) InitChunks() { *s = Scanner{tail: atStart, told: EndlessLine, chunks: true} }

// Warm reads s, and returns something of it (see flow.Table's Begin).
func (s *Scanner) Warm() uint64 { return uint64(s.length) }

// Following says that what Scan consumed ends with the beginning of a line behind a
// lenient ending that may turn out to read as a command. It began at the Start of the
// event that Scan returned.
func (s *Scanner) Following() bool { return s.line.stage != stageNo }

// Clean says that no dot stands at the beginning of the line at hand, and no lenient ending
// before it behind which commands are looked for.
func (s *Scanner) Clean() bool {
	return !s.behindEnding() && s.line.stage == stageNo && s.tail.pending == 0
}

// Length returns the octets of the line at hand so far, without a dot put before it.
func (s *Scanner) Length() int {
	if s.dotted {
		return int(s.length) - 1
	}
	return int(s.length)
}

// Text takes note of octets that somebody else has read, where Clean says so: lines of text that
// end with CRLF, none longer than MaxTextLine, without NUL or a line that begins with one dot. The
// last of them is the line at hand, and has length octets.
func (s *Scanner) Text(length int) {
	s.length, s.dotted, s.tail = uint32(length), false, tail{}
	if length == 0 {
		s.tail = atStart
	}
}

// Scan consumes octets of b up to the next event; with an event it consumes at least
// one. It must be called again with the rest until it returns None. Behind EndOfData s is
// to be used no more before Init.
func (s *Scanner) Scan(b []byte) (n int, ev Event) {
	start := -1
	for n < len(b) {
		if s.idle() {
			if n += s.pass(b[n:]); n == len(b) {
				break
			}
		}
		c := b[n]
		if s.mayBeCut() && s.line.again(c) {
			start = n
		}
		n++
		kind := s.step(c)
		if kind == Smuggling {
			return n, Event{kind, s.ending, start}
		}
		if isLineEnd(c) {
			start = n
		}
		if kind != None {
			return n, Event{Kind: kind, Start: start}
		}
	}
	return n, Event{Start: start}
}

func isLineEnd(c byte) bool { return c == '\r' || c == '\n' }

// Plain says that the octets that follow are in the middle of a line of text, and that no
// lenient ending stands before it behind which commands are looked for.
func (s *Scanner) Plain() bool { return s.idle() && !s.behindEnding() }

// idle says that pass may take the octets that follow.
func (s *Scanner) idle() bool {
	return s.tail.empty() && s.line.stage == stageNo && !s.mayBeCut()
}

// mayBeCut says that a server that reads lines behind an ending may begin one with the next
// octet, as the line at hand is longer than its buffer.
func (s *Scanner) mayBeCut() bool {
	return s.length >= shortBuffer && s.endsLF && s.behindEnding()
}

// pass consumes the octets at the beginning of b of which each alone changes nothing but
// the length of the line.
func (s *Scanner) pass(b []byte) int {
	n, last := skip(b, -1-int(s.length), s.limit(), s.behindEnding())
	length := n - 1 - last
	if length < n { // it began in b
		s.dotted = length > 0 && b[n-length] == '.'
	}
	s.length = uint32(min(length, maxLength))
	s.tail.recall(b[:n])
	return n
}

// behindEnding says that some server still reads lines behind an ending. (Neither this nor
// tail.empty compares whole values: a load of what was just stored octet by octet stalls.)
func (s *Scanner) behindEnding() bool {
	return s.left[cutCR]|s.left[cutLF]|s.left[cutCRLF] != 0
}

// limit is the length of a line at which pass leaves the next octet to step.
func (s *Scanner) limit() int {
	switch {
	case s.endsLF && s.behindEnding():
		return shortBuffer
	case s.told == None:
		return MaxTextLine
	case s.told == LongLine:
		return MaxLine
	}
	return math.MaxInt / 2 // none, and adding to it does not overflow
}

// step follows one octet.
func (s *Scanner) step(c byte) Kind {
	if s.chunks && s.tail.open() && c != '\n' {
		s.end(openEnd)
	}
	tooLong := s.measure(c)
	smuggling := false
	if isLineEnd(c) {
		smuggling = s.cut(c)
	} else if c != 0 {
		s.line.next(c)
	}
	e, end := s.tail.next(c)
	switch {
	case end && !s.chunks:
		return EndOfData
	case end:
		s.tail = atStart // a CRLF like any other
	case e != 0 && !(s.chunks && s.tail.open()):
		s.end(e)
	}
	if smuggling {
		return Smuggling
	}
	if tooLong != None {
		s.told = tooLong
	}
	return tooLong
}

// end begins to read the lines behind a lenient ending.
func (s *Scanner) end(e Ending) {
	s.ending = e
	s.endsLF = s.endsLF || !lineEnd(e&7).openCR()
	s.left = [cuts]uint8{MaxLines, MaxLines, MaxLines}
	s.atLine, s.spared = 1<<cuts-1, 0
	s.line = reader{stage: stageVerb, scope: first, mailed: s.line.mailed}
}

// measure counts an octet of the line. A line that gets too long with an octet that
// means something else is reported with the next one.
func (s *Scanner) measure(c byte) (kind Kind) {
	if s.length == 0 {
		s.dotted = c == '.'
	}
	s.length = min(s.length+1, maxLength)
	text := s.length
	if s.dotted {
		text--
	}
	switch {
	case s.told == None && text > MaxTextLine:
		kind = LongLine
	case s.told == LongLine && s.length > MaxLine:
		kind = EndlessLine
	}
	if c == '\n' {
		s.length, s.dotted = 0, false
	}
	return kind
}

// cut ends the line with c, CR or LF. Servers differ in what ends a line: each of them
// has read as many lines as it would have, so that octets that end a line for one can't
// use up the lines of another. The next line is read if it begins one for any of them.
//
// It says whether the line was a command.
func (s *Scanner) cut(c byte) (smuggling bool) {
	if !s.behindEnding() {
		return false // and no line is read
	}
	verb := s.line.begins()
	smuggling = s.line.reads()
	if verb != noVerb { // a server takes it for a command, of which it may read any number
		s.spared |= s.atLine
	}
	s.line, s.atLine = reader{mailed: s.line.mailed || verb == verbMAIL && !smuggling}, 0
	if c == '\r' {
		s.cutFor(cutCR)
		return smuggling
	}
	s.cutFor(cutLF)
	if s.tail.afterCR() {
		s.cutFor(cutCRLF)
	}
	return smuggling
}

func (s *Scanner) cutFor(way int) {
	bit := uint8(1) << way
	if s.left[way] > 0 && s.spared&bit == 0 {
		s.left[way]--
	}
	if s.left[way] > 0 {
		s.line.stage = stageVerb
	}
	s.atLine |= bit
	s.spared &^= bit
}
