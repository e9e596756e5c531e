package smtp

import (
	"bytes"
	"math"

	"keepword/inspect/maildata"
)

// Mode is how the client's next octets are read.
type Mode uint8

const (
	// Commands: lines, each a command.
	Commands Mode = iota
	// MailData: after 354, before the end of mail data.
	MailData
	// Chunk: the octets that a BDAT announced (RFC 3030 §2).
	Chunk
	// AuthExchange: after 334, a line is the client's response (RFC 4954 §4).
	AuthExchange
	// Waiting: the reply to DATA, AUTH or a response decides; nothing is consumed.
	Waiting
	// Asked: STARTTLS waits for its reply; nothing is consumed, nothing may come.
	Asked
	// Left: 220 answered STARTTLS, or the roles were swapped; the dialogue is over.
	Left
)

// ClientKind is what the client did.
type ClientKind uint8

const (
	// ClientNone: the octets are used up, or the mode is Waiting, Asked or Left.
	ClientNone ClientKind = iota
	// ClientCommand: a command line is complete.
	ClientCommand
	// ClientAuthResponse: a line of an AUTH exchange is complete.
	ClientAuthResponse
	// ClientEndOfData: mail data has ended.
	ClientEndOfData
	// ClientEndOfChunk: a BDAT's octets are complete. It is left out where the last of them
	// is another event.
	ClientEndOfChunk
	// ClientTooMany: a command was not followed, because MaxPending wait; the
	// dialogue can't be followed any longer.
	ClientTooMany
	// ClientSmuggling: in mail data, a line behind Ending reads as a command, and is
	// complete for a server that takes Ending for the end of mail data (see package
	// maildata). The octets are mail data all the same: nothing waits for a reply.
	ClientSmuggling
	// ClientLongLine: a line of mail data exceeds maildata.MaxTextLine, the first of them.
	ClientLongLine
	// ClientEndlessLine: a line of mail data exceeds maildata.MaxLine, the first of them.
	ClientEndlessLine
)

// CommandFlags are what is wrong with a command.
type CommandFlags uint8

const (
	// Parameter follows a verb that takes none (STARTTLS: RFC 3207 §4).
	Parameter CommandFlags = 1 << iota
	// Malformed is a line that some servers take for its verb and RFC 5321 §4.1.1 does
	// not: leading blanks, a tab; with STARTTLS also letters behind the verb and a bare
	// LF.
	Malformed
	// InTransaction stands between an accepted MAIL and the end of its transaction.
	InTransaction
	// BadSize is a BDAT without a chunk size, or with none that fits 63 bits, or one whose
	// verb is not where it belongs: how many octets follow, nobody can tell.
	BadSize
	// Early comes before the server's greeting.
	Early
	// Unoffered is a BDAT that the latest EHLO reply does not offer (RFC 3030 §2). A server
	// that knows it all the same skips its octets; to the others they are commands.
	Unoffered
	// Grouped comes before the reply to an earlier command, although the latest EHLO reply
	// does not offer PIPELINING (RFC 2920 §3).
	Grouped
)

// ClientEvent is what Client found. It is lent until the next call of any Dialogue with
// the same Spare.
type ClientEvent struct {
	Kind  ClientKind
	Verb  Verb
	Flags CommandFlags
	Odd   LineFlags
	Line  []byte // without its end, at most MaxHead octets
	Start int    // place of the line's first octet in the octets given; negative: before them
	// Ending is what stands before a ClientSmuggling's line.
	Ending maildata.Ending
}

// ServerKind is what the server did.
type ServerKind uint8

const (
	// ServerNone: the octets are used up, or the dialogue is over.
	ServerNone ServerKind = iota
	// ServerLine: a line of a reply is complete.
	ServerLine
)

// ServerEvent is what Server found. It is lent as a ClientEvent is.
type ServerEvent struct {
	Kind  ServerKind
	To    Command // what is answered
	Code  int     // 0: the line is no reply
	First bool    // of its reply
	Final bool    // of its reply
	// Surplus: it is a reply, and no command waits for it.
	Surplus bool
	// Differs: the code is not that of the reply's first line.
	Differs bool
	Odd     LineFlags
	Line    []byte // without its end, at most MaxHead octets
	Text    []byte // behind code and separator
	Keyword []byte // of a line of a positive EHLO reply behind the first (see Keyword)
	Start   int    // as in ClientEvent
}

// Dialogue is one SMTP session. Init makes it ready.
type Dialogue struct {
	mode Mode
	// code is that of the reply's first line while a reply is under way, else 0.
	code          uint16
	inReply       bool
	greeted       bool
	inTransaction bool
	chunking      bool              // the latest EHLO reply offers it (RFC 3030 §2)
	pipelining    bool              // and that (RFC 2920 §2)
	lastChunk     bool              // the BDAT at hand ends its message
	data          *maildata.Scanner // in MailData, and in a message that comes by BDAT; else nil
	chunk         uint64            // octets that the BDAT at hand still has
	client        lineReader
	server        lineReader
	waiting       pending
}

// Init makes d the start of a session, before its greeting. All that it borrows is from
// the Spare that its methods are given, which must be the same each time.
func (d *Dialogue) Init() {
	*d = Dialogue{}
	d.waiting.push(Command{Verb: VerbGreeting})
}

// Release gives back what was borrowed. d is to be used no more.
func (d *Dialogue) Release(spare *Spare) {
	d.client.over()
	d.server.over()
	d.client.rest(spare)
	d.server.rest(spare)
	spare.scanners.put(&d.data)
	d.waiting = pending{}
	d.mode = Left
}

// Warm reads what the client's next octets will need, and returns something of it (see
// flow.Table's Begin).
func (d *Dialogue) Warm() uint64 {
	if d.data == nil {
		return uint64(d.mode)
	}
	return d.data.Warm()
}

// Mode returns how the client's next octets will be read.
func (d *Dialogue) Mode() Mode { return d.mode }

// Refused says that the command that Client returned last was made a NOOP on its way
// to the server. The mark comes back with the reply; what follows the command is read
// as commands again.
func (d *Dialogue) Refused(note uint8) {
	c := d.waiting.back()
	c.Verb, c.Note = VerbNOOP, note
	if d.mode == Waiting || d.mode == Asked {
		d.mode = Commands
	}
}

// Next returns the command that the server's next reply answers, or the one under
// way; false where none waits.
func (d *Dialogue) Next() (Command, bool) {
	if d.waiting.empty() {
		return Command{}, false
	}
	return *d.waiting.front(), true
}

// Waiting returns how many commands wait for their replies, the greeting counted as one.
func (d *Dialogue) Waiting() int { return int(d.waiting.length) }

// InReply says that a reply of several lines is under way.
func (d *Dialogue) InReply() bool { return d.inReply }

// ClientPartial returns the client's line so far, as far as it was kept, lent until
// the next call of Client, and its true length. Text is no line of the client's: in
// MailData and Chunk there is none.
func (d *Dialogue) ClientPartial() (head []byte, length int) {
	if d.mode == MailData || d.mode == Chunk {
		return nil, 0
	}
	return d.client.partial(), d.client.length()
}

// ServerPartial is ClientPartial for the server's line.
func (d *Dialogue) ServerPartial() (head []byte, length int) {
	return d.server.partial(), d.server.length()
}

// InTransaction says that a MAIL was accepted and its transaction goes on.
func (d *Dialogue) InTransaction() bool { return d.inTransaction }

// nothing is returned where there is no event.
var nothing ClientEvent

// Client consumes octets of the client up to the next event. It must be called
// again with the rest until it returns ClientNone.
func (d *Dialogue) Client(b []byte, spare *Spare) (n int, ev *ClientEvent) {
	d.client.rest(spare)
	if len(b) == 0 {
		return 0, &nothing
	}
	ev = &spare.client
	switch d.mode {
	case MailData:
		return d.mailData(b, spare)
	case Chunk:
		return d.chunkData(b, spare)
	case Commands, AuthExchange:
		n, line, odd, start, ok := d.client.next(b, spare)
		if !ok {
			return n, &nothing
		}
		*ev = ClientEvent{Odd: odd, Line: line, Start: start}
		if d.mode == AuthExchange {
			ev.Kind, ev.Verb = ClientAuthResponse, VerbAuthResponse
			d.mode = Waiting
		} else {
			d.command(ev, spare)
		}
		d.expect(ev)
		return n, ev
	}
	return 0, &nothing
}

// expect lets the event's command wait for its reply.
func (d *Dialogue) expect(ev *ClientEvent) {
	if !d.waiting.push(Command{Verb: ev.Verb}) {
		ev.Kind = ClientTooMany
	}
}

// command reads a command line and moves to the mode that it asks for.
func (d *Dialogue) command(ev *ClientEvent, spare *Spare) {
	ev.Kind = ClientCommand
	if !d.greeted {
		ev.Flags |= Early
	}
	if next, waits := d.Next(); waits && d.greeted && !d.pipelining && next.Verb != VerbPROXY {
		ev.Flags |= Grouped
	}
	if d.inTransaction {
		ev.Flags |= InTransaction
	}
	verb, rest := ev.Line, []byte(nil)
	if i := bytes.IndexByte(verb, ' '); i >= 0 {
		verb, rest = verb[:i], verb[i+1:]
	}
	if ev.Verb = lookup(verb); ev.Verb == VerbUnknown {
		ev.Verb, rest = almost(ev.Line)
		if ev.Verb == VerbBDAT {
			ev.Flags |= Malformed | BadSize
			return // its octets are not to be read as such where the server may not
		}
		if ev.Verb != VerbUnknown {
			ev.Flags |= Malformed
		} else if HasPrefixFold(bytes.TrimLeft(ev.Line, Blanks), "STARTTLS") {
			// Letters behind the verb: another verb. It is followed as one, and only a
			// 220 makes it STARTTLS.
			ev.Verb = VerbSTARTTLS
			ev.Flags |= Malformed
			return
		}
	}
	switch ev.Verb {
	case VerbEHLO, VerbHELO, VerbRSET:
		// No message goes on behind these (RFC 5321 §4.1.4, §4.1.1.5). Behind all others one
		// does that comes by BDAT: a server refuses a MAIL in its middle, and goes on.
		spare.scanners.put(&d.data)
	case VerbSTARTTLS, VerbXANONYMOUSTLS:
		// RFC 5321 §4.1.1 lets a receiver tolerate trailing white space.
		if len(bytes.TrimRight(rest, Blanks)) > 0 {
			ev.Flags |= Parameter
		}
		if ev.Odd&BareLF != 0 {
			ev.Flags |= Malformed
		}
		d.mode = Asked
	case VerbDATA, VerbAUTH, VerbTURN, VerbATRN:
		d.mode = Waiting
	case VerbBDAT:
		// The octets follow whatever the reply (RFC 3030 §2); a size that is no size
		// announces none. A server that does not offer CHUNKING does not know the verb,
		// and runs the octets as commands: they are read as such.
		size, last, ok := chunkSize(rest)
		switch {
		case !ok:
			ev.Flags |= BadSize
		case !d.chunking:
			ev.Flags |= Unoffered
		case size > 0:
			d.chunk, d.lastChunk, d.mode = size, last, Chunk
			if d.data == nil {
				d.data = spare.scanners.get()
				d.data.InitChunks()
			}
		case last:
			spare.scanners.put(&d.data)
		}
		if last {
			ev.Verb = VerbBDATLast
		}
	}
}

// Blanks are what some servers skip before a verb, and take for its end.
const Blanks = " \t\v\f\r\x00"

// almost reads the verb that a careless server takes a line for: behind leading
// blanks, before another blank than a space.
func almost(line []byte) (v Verb, rest []byte) {
	token := bytes.TrimLeft(line, Blanks)
	if i := bytes.IndexAny(token, Blanks); i >= 0 {
		token, rest = token[:i], token[i+1:]
	}
	return lookup(token), rest
}

// chunkSize reads BDAT's arguments: chunk-size [SP "LAST"] (RFC 3030 §2).
func chunkSize(args []byte) (size uint64, last, ok bool) {
	args = bytes.TrimRight(args, " ")
	digits, end := args, []byte(nil)
	if i := bytes.IndexByte(args, ' '); i >= 0 {
		digits, end = args[:i], bytes.TrimLeft(args[i+1:], " ")
	}
	last = EqualFold(end, "LAST")
	if len(digits) == 0 || len(end) > 0 && !last {
		return 0, false, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' || size > (math.MaxInt64-9)/10 {
			return 0, false, false
		}
		size = size*10 + uint64(c-'0')
	}
	return size, last, true
}

// silence is returned where there is no event.
var silence ServerEvent

// Server consumes octets of the server up to the next event. It must be called
// again with the rest until it returns ServerNone.
func (d *Dialogue) Server(b []byte, spare *Spare) (n int, ev *ServerEvent) {
	d.server.rest(spare)
	if d.mode == Left || len(b) == 0 {
		return 0, &silence
	}
	n, line, odd, start, ok := d.server.next(b, spare)
	if !ok {
		return n, &silence
	}
	ev = &spare.server
	*ev = ServerEvent{Kind: ServerLine, Odd: odd, Line: line, Start: start, First: !d.inReply}
	ev.Code, ev.Final, ev.Text = ParseReplyLine(line)
	if d.inReply && ev.Code != int(d.code) {
		ev.Differs = true
		if ev.Code == 0 {
			ev.Final = false // a line that lost its code, within a reply
		}
	}
	d.pair(ev, spare)
	return n, ev
}

// pair finds what a line answers and, on its reply's last line, lets it take effect.
func (d *Dialogue) pair(ev *ServerEvent, spare *Spare) {
	if known := ev.Code/100 == 2 || ev.Code/100 == 3; ev.First && (known || d.waiting.length > 1) && !d.waiting.empty() && d.waiting.front().Verb == VerbPROXY {
		// Its server knew what it is, and did not answer it; or the client, which has sent
		// a command and does not know of PROXY, takes the answer for that one's.
		d.waiting.pop()
	}
	if !d.greeted && ev.First && ev.Code/100 == 2 && ev.Code != 220 && d.waiting.length > 1 {
		// No greeting has this code (RFC 5321 §4.3.2); commands wait: it was missed.
		d.waiting.pop()
		d.greeted = true
	}
	if d.waiting.empty() {
		ev.Surplus = ev.Code != 0 // else noise between replies; clients skip it
		d.inReply = !ev.Final
		d.code = uint16(ev.Code)
		return
	}
	ev.To = *d.waiting.front()
	if ev.First {
		d.code = uint16(ev.Code)
	}
	if ev.To.Verb == VerbEHLO && ev.Code/100 == 2 {
		if !ev.First {
			ev.Keyword, _ = Keyword(ev.Text)
		}
		d.chunking = !ev.First && (d.chunking || EqualFold(ev.Keyword, "CHUNKING"))
		d.pipelining = !ev.First && (d.pipelining || EqualFold(ev.Keyword, "PIPELINING"))
	}
	d.inReply = !ev.Final
	if !ev.Final {
		return
	}
	if ev.Code == 0 && ev.To.Verb != VerbSTARTTLS && ev.To.Verb != VerbXANONYMOUSTLS {
		return // noise between replies; clients skip it
	}
	d.waiting.pop()
	d.effect(ev.To, ev.Code, spare)
}

// effect is what a reply does to the session.
func (d *Dialogue) effect(c Command, code int, spare *Spare) {
	good := code/100 == 2
	switch c.Verb {
	case VerbGreeting:
		d.greeted = true
	case VerbEHLO, VerbHELO, VerbRSET:
		// RFC 5321 §4.1.4, 4.1.1.5.
		if good {
			d.inTransaction = false
		}
	case VerbMAIL:
		if good {
			d.inTransaction = true
		}
	case VerbDATA:
		d.mode = Commands
		if code == 354 {
			spare.scanners.put(&d.data)
			d.mode, d.data = MailData, spare.scanners.get()
			d.data.Init()
		}
	case VerbEndOfData:
		d.inTransaction = false
	case VerbBDATLast:
		d.inTransaction = false
	case VerbAUTH, VerbAuthResponse:
		d.mode = Commands
		if code == 334 {
			d.mode = AuthExchange
		}
	case VerbSTARTTLS, VerbXANONYMOUSTLS:
		switch {
		case code == 220:
			d.mode = Left
		case d.mode == Asked && d.waiting.empty(): // not a look-alike before it
			d.mode = Commands
		}
	case VerbTURN, VerbATRN:
		d.mode = Commands
		if good {
			d.mode = Left
		}
	}
}
