package maildata

// reader tells whether a line reads as an SMTP command. The zero value reads nothing.
type reader struct {
	token uint32 // the letters of the word at hand, upper case; no verb has more but STARTTLS
	stage stage
	verb  uint8 // index of verbs
	words uint8 // arguments so far; in a path: quoted, escaped
	scope scope
	known bool  // its first word is a verb, whatever follows
	head  uint8 // index of that verb
	// mailed: a line before it began with MAIL, so that RCPT counts on any line.
	mailed  bool
	address bool // behind its verb stands an octet that only addresses have
}

// scope is which commands count.
type scope uint8

const (
	// onlyMAIL: on any line behind an ending. Nothing else begins another message. And BDAT
	// with a number: how it has the octets behind it read, nobody can tell.
	onlyMAIL scope = iota
	// first: on the line directly behind it, any command.
	first
	// firstInWords: there too, but it is not written in capitals as programs do. "Quit" and
	// "Data" are words; MAIL, RCPT, BDAT with a number, and STARTTLS count all the same.
	firstInWords
)

// stage is how far a line was read.
type stage uint8

const (
	// stageNo: the line is no command, or of no interest.
	stageNo stage = iota
	// stageVerb: in the verb, or in the blanks before it.
	stageVerb
	// stageTLS: in the second half of STARTTLS.
	stageTLS
	// stageGap: between the words behind the verb.
	stageGap
	// stageWord: in one of them.
	stageWord
	// stageKeyword: in the FROM or TO behind MAIL or RCPT, or in the blanks before it.
	stageKeyword
	// stageColon: in the blanks behind it.
	stageColon
	// stagePath: in the blanks behind the colon.
	stagePath
	// stageAngle: in a path in angle brackets; at the line's end an open one counts, too.
	stageAngle
	// stageBare: in a path without brackets, which some servers take.
	stageBare
	// stageParameters: behind the path, or behind a parameter with its value.
	stageParameters
	// stageParameter: in a word that is a parameter, if a value follows or it has none.
	stageParameter
	// stageValue: in one with its value.
	stageValue
	// stageLoose: behind RCPT, in what has another syntax; an address in it will do.
	stageLoose
)

// Parameters without a value (RFC 6531 §3.4, RFC 8689 §2): sums of their letters as sum
// makes them.
var smtputf8, requiretls = sumOf("SMTPUTF8"), sumOf("REQUIRETLS")

// sum adds an octet to those of a word, so that words can be told apart.
func sum(n uint32, c byte) uint32 {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return n*31 + uint32(c)
}

func sumOf(word string) (n uint32) {
	for i := range len(word) {
		n = sum(n, word[i])
	}
	return n
}

// verbs are the commands that a line is compared with: RFC 5321 §4.1.1, RFC 3030 §2
// (BDAT), RFC 3207 §4 (STARTTLS), RFC 4954 §4 (AUTH).
var verbs = [...]struct {
	name, keyword uint32
	least, most   uint8 // number of arguments
}{
	verbMAIL:     {name: 'M'<<24 | 'A'<<16 | 'I'<<8 | 'L', keyword: 'F'<<24 | 'R'<<16 | 'O'<<8 | 'M'},
	verbRCPT:     {name: 'R'<<24 | 'C'<<16 | 'P'<<8 | 'T', keyword: 'T'<<8 | 'O'},
	verbSTARTTLS: {name: 'S'<<24 | 'T'<<16 | 'A'<<8 | 'R', keyword: 'T'<<24 | 'T'<<16 | 'L'<<8 | 'S'},
	verbBDAT:     {name: 'B'<<24 | 'D'<<16 | 'A'<<8 | 'T', least: 1, most: 2},
	verbAUTH:     {name: 'A'<<24 | 'U'<<16 | 'T'<<8 | 'H', least: 1, most: 2},
	// The others follow by their arguments alone.
	{name: 'E'<<24 | 'H'<<16 | 'L'<<8 | 'O', least: 1, most: 1},
	{name: 'H'<<24 | 'E'<<16 | 'L'<<8 | 'O', least: 1, most: 1},
	{name: 'R'<<24 | 'S'<<16 | 'E'<<8 | 'T'},
	{name: 'D'<<24 | 'A'<<16 | 'T'<<8 | 'A'},
	{name: 'Q'<<24 | 'U'<<16 | 'I'<<8 | 'T'},
	{name: 'N'<<24 | 'O'<<16 | 'O'<<8 | 'P', most: 1},
	{name: 'H'<<24 | 'E'<<16 | 'L'<<8 | 'P', least: never},
	{name: 'E'<<24 | 'T'<<16 | 'R'<<8 | 'N', least: never},
	{name: 'V'<<24 | 'R'<<16 | 'F'<<8 | 'Y', least: 1, most: 1},
	{name: 'E'<<24 | 'X'<<16 | 'P'<<8 | 'N', least: 1, most: 1},
}

// The verbs that have a grammar of their own.
const (
	verbMAIL = iota
	verbRCPT
	verbSTARTTLS
	verbBDAT
	verbAUTH

	noVerb = 1<<8 - 1
	never  = 1<<8 - 1 // arguments: by itself such a line means nothing
)

// push appends a letter to the token, and says whether it is one and had room.
func (r *reader) push(c byte) bool {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
		if r.scope == first {
			r.scope = firstInWords
		}
	}
	if c < 'A' || c > 'Z' || r.token>>24 != 0 {
		return false
	}
	r.token = r.token<<8 | uint32(c)
	return true
}

// again begins anew with c, in the middle of a line, if MAIL or RCPT may begin with it, and
// says so.
func (r *reader) again(c byte) bool {
	c |= 'a' - 'A'
	if r.stage > stageVerb || c != 'm' && c != 'r' {
		return false
	}
	*r = reader{stage: stageVerb, mailed: r.mailed}
	return true
}

// next follows an octet of the line.
func (r *reader) next(c byte) {
	blank := c == ' ' || c == '\t' || c == '\v' || c == '\f'
	r.address = r.address || c == '<' || c == '@'
	switch r.stage {
	case stageVerb:
		switch {
		case blank && r.token == 0:
			// Some servers skip blanks. Only with what counts anywhere one is as lenient
			// as they are.
			r.scope = onlyMAIL
		case blank:
			r.behindVerb()
		case r.token == verbs[verbSTARTTLS].name && r.scope != onlyMAIL:
			r.stage, r.verb, r.token = stageTLS, verbSTARTTLS, 0
			r.next(c)
		case !r.push(c):
			r.stage = stageNo
		}
	case stageTLS:
		switch {
		case blank && r.token == verbs[verbSTARTTLS].keyword:
			r.stage = stageGap
		case !r.push(c):
			r.stage = stageNo
		}
	case stageKeyword, stageColon:
		switch {
		case c == ':' && r.token == verbs[r.verb].keyword:
			r.stage = stagePath
		case blank && r.token != 0:
			r.stage = stageColon
		case !blank && (r.stage == stageColon || !r.push(c)):
			r.stray()
		}
	case stagePath:
		switch {
		case c == '<':
			r.stage, r.words = stageAngle, 0
		case !blank:
			r.stage, r.words = stageBare, 0
			r.next(c)
		}
	case stageAngle, stageBare:
		end := blank
		if r.stage == stageAngle {
			end = c == '>'
		}
		if !r.quotes(c) && end {
			r.stage = stageParameters
		}
	case stageValue:
		if blank {
			r.stage = stageParameters
		}
	case stageParameters:
		if !blank {
			r.stage, r.token = stageParameter, 0
			r.next(c)
		}
	case stageParameter:
		switch {
		case c == '=':
			r.stage = stageValue
		case !blank:
			r.token = sum(r.token, c)
		case r.reads():
			r.stage = stageParameters
		default:
			r.stray() // servers refuse what is no parameter: this is prose
		}
	case stageGap:
		if blank {
			return
		}
		r.stage = stageWord
		r.words++
		number := '0' <= c && c <= '9'
		if r.words > verbs[r.verb].most || r.verb == verbBDAT && r.words == 1 && !number {
			r.stage = stageNo
			return
		}
		r.next(c)
	case stageWord:
		switch {
		case blank:
			r.stage = stageGap
		case r.verb == verbAUTH && r.words == 1 && 'a' <= c && c <= 'z':
			r.stage = stageNo // a mechanism's name is in capitals (RFC 4422 §3.1)
		}
	}
}

// stray is where a line leaves the syntax of MAIL and RCPT. How their lines go on, servers do
// not agree: some take a CR for a blank, some a phrase and comments before the path, and some
// look for its bracket alone. But of those who write prose nobody begins a line with RCPT,
// an address in it, behind one that begins with MAIL.
func (r *reader) stray() {
	r.stage = stageNo
	if r.verb == verbRCPT && r.mailed {
		r.stage = stageLoose
	}
}

// In a path, of reader.words (RFC 5321 §4.1.2, Quoted-string and quoted-pairSMTP; servers
// take the pair outside of quotes too).
const (
	quoted  = 1
	escaped = 2
)

// quotes follows an octet of a path, and says whether it is quoted, and so ends nothing.
func (r *reader) quotes(c byte) bool {
	switch {
	case r.words&escaped != 0:
		r.words &^= escaped
		return true
	case c == '\\':
		r.words |= escaped
	case c == '"':
		r.words ^= quoted
	}
	return r.words != 0
}

// behindVerb is the blank behind a verb.
func (r *reader) behindVerb() {
	v, ok := r.lookup()
	r.known, r.head = v != noVerb, v
	switch {
	case !ok:
		r.stage = stageNo
	case v == verbMAIL || v == verbRCPT:
		r.stage, r.verb, r.token = stageKeyword, v, 0
	default:
		r.stage, r.verb = stageGap, v
	}
}

// lookup returns the verb that the token is, noVerb where it is none, and whether such a
// line counts.
func (r *reader) lookup() (verb uint8, ok bool) {
	for i := range verbs {
		if verbs[i].name == r.token && i != verbSTARTTLS {
			return uint8(i), i == verbMAIL || i == verbBDAT || i == verbRCPT && (r.mailed || r.scope == firstInWords) || r.scope == first
		}
	}
	return noVerb, false
}

// begins returns the verb that the line begins with, whatever follows, noVerb where it
// begins with none.
func (r *reader) begins() (verb uint8) {
	switch {
	case r.known:
		return r.head
	case r.stage == stageVerb:
		verb, _ = r.lookup()
		return verb
	}
	return noVerb
}

// reads says whether the line, were it to end here, reads as a command.
func (r *reader) reads() bool {
	switch r.stage {
	case stageVerb:
		v, ok := r.lookup()
		return ok && v != verbMAIL && v != verbRCPT && verbs[v].least == 0 || v == verbRCPT && r.mailed
	case stageKeyword, stageColon: // the line end may be a blank
		return r.verb == verbRCPT && r.mailed && (r.token == 0 || r.token == verbs[verbRCPT].keyword)
	case stageLoose:
		return r.address
	case stageTLS:
		return r.token == verbs[verbSTARTTLS].keyword
	case stageGap, stageWord:
		return r.words >= verbs[r.verb].least
	case stageParameter:
		return r.token == smtputf8 || r.token == requiretls || r.verb == verbRCPT && r.mailed && r.address
	}
	return r.stage >= stageAngle
}
