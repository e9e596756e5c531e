package maildata

// reader tells whether a line reads as an SMTP command. The zero value reads nothing.
type reader struct {
	token uint32 // the letters of the word at hand, upper case; no verb has more but STARTTLS
	stage stage
	verb  uint8 // index of verbs
	words uint8 // arguments so far
	first bool  // the line is the first behind an ending: any command counts, else MAIL
}

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
	// stageYes: the line is a command, whatever follows.
	stageYes
)

// decided says that the line's octets up to its end do not matter any more.
func (s stage) decided() bool { return s == stageNo || s == stageYes }

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
	// The others follow by their arguments alone.
	{name: 'E'<<24 | 'H'<<16 | 'L'<<8 | 'O', least: 1, most: 1},
	{name: 'H'<<24 | 'E'<<16 | 'L'<<8 | 'O', least: 1, most: 1},
	{name: 'R'<<24 | 'S'<<16 | 'E'<<8 | 'T'},
	{name: 'D'<<24 | 'A'<<16 | 'T'<<8 | 'A'},
	{name: 'Q'<<24 | 'U'<<16 | 'I'<<8 | 'T'},
	{name: 'N'<<24 | 'O'<<16 | 'O'<<8 | 'P'},
	{name: 'A'<<24 | 'U'<<16 | 'T'<<8 | 'H', least: 1, most: 2},
	{name: 'V'<<24 | 'R'<<16 | 'F'<<8 | 'Y', least: 1, most: 1},
	{name: 'E'<<24 | 'X'<<16 | 'P'<<8 | 'N', least: 1, most: 1},
}

// The verbs that have a grammar of their own.
const (
	verbMAIL = iota
	verbRCPT
	verbSTARTTLS
	verbBDAT
)

// push appends a letter to the token, and says whether it is one and had room.
func (r *reader) push(c byte) bool {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	if c < 'A' || c > 'Z' || r.token>>24 != 0 {
		return false
	}
	r.token = r.token<<8 | uint32(c)
	return true
}

// next follows an octet of the line.
func (r *reader) next(c byte) {
	blank := c == ' ' || c == '\t'
	switch r.stage {
	case stageVerb:
		switch {
		case blank && r.token == 0:
			// Some servers skip blanks. Only MAIL begins another transaction, so that
			// only with MAIL one is as lenient as they are.
			r.first = false
		case blank:
			r.behindVerb()
		case r.token == verbs[verbSTARTTLS].name && r.first:
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
			r.stage = stageYes
		case blank && r.token != 0:
			r.stage = stageColon
		case !blank && (r.stage == stageColon || !r.push(c)):
			r.stage = stageNo
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
		}
	case stageWord:
		if blank {
			r.stage = stageGap
		}
	}
}

// behindVerb is the blank behind a verb.
func (r *reader) behindVerb() {
	v, ok := r.lookup()
	switch {
	case !ok:
		r.stage = stageNo
	case v == verbMAIL || v == verbRCPT:
		r.stage, r.verb, r.token = stageKeyword, v, 0
	default:
		r.stage, r.verb = stageGap, v
	}
}

// lookup returns the verb that the token is, if such a line counts.
func (r *reader) lookup() (verb uint8, ok bool) {
	for i := range verbs {
		if verbs[i].name == r.token && i != verbSTARTTLS {
			return uint8(i), r.first || i == verbMAIL
		}
	}
	return 0, false
}

// reads says whether the line, were it to end here, reads as a command.
func (r *reader) reads() bool {
	switch r.stage {
	case stageVerb:
		v, ok := r.lookup()
		return ok && v != verbMAIL && v != verbRCPT && verbs[v].least == 0
	case stageTLS:
		return r.token == verbs[verbSTARTTLS].keyword
	case stageGap, stageWord:
		return r.words >= verbs[r.verb].least
	}
	return r.stage == stageYes
}
