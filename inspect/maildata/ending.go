package maildata

// Ending is a sequence that some servers take for the end of mail data although it is
// not the CRLF.CRLF of RFC 5321 §4.1.1.4. The zero value is no ending. Its bits are, from
// below, the line end behind the dot, the line end before it, and nulBit.
type Ending uint8

const (
	beforeShift        = 3
	nulBit      Ending = 1 << (2 * beforeShift)
)

// openEnd is CRLF.CR, which with LF is the end of mail data.
const openEnd = Ending(endCRLF)<<beforeShift | Ending(endCR)

// String spells the ending, such as LF.CRLF; "with NUL" says that NULs stand between
// its octets, which some servers drop. Of several CRs two are spelled.
func (e Ending) String() string {
	if int(e) < len(endingNames) {
		return endingNames[e]
	}
	return "invalid"
}

var endingNames = nameEndings()

func nameEndings() (names [2 * nulBit]string) {
	for i := range names {
		e := Ending(i)
		before, behind := lineEnd(e>>beforeShift&7), lineEnd(e&7)
		switch {
		case e == 0:
			names[i] = "none"
		case lineEndNames[before] == "" || lineEndNames[behind] == "":
			names[i] = "invalid"
		default:
			names[i] = lineEndNames[before] + "." + lineEndNames[behind]
			if e&nulBit != 0 {
				names[i] += " with NUL"
			}
		}
	}
	return names
}

// lineEnd is what some server takes for the end of a line.
type lineEnd uint8

const (
	endNone lineEnd = iota
	endCR
	endLF
	endCRLF
	endCRCRLF
	endCRCR // more than one CR, of which an LF makes CRCRLF
)

var lineEndNames = [8]string{endCR: "CR", endLF: "LF", endCRLF: "CRLF", endCRCRLF: "CRCRLF"}

// then returns the line end that stands behind c, where e stood before it.
func (e lineEnd) then(c byte) lineEnd {
	switch {
	case c == '\r' && e.openCR():
		return endCRCR
	case c == '\r':
		return endCR
	case c == '\n' && e == endCR:
		return endCRLF
	case c == '\n' && e == endCRCR:
		return endCRCRLF
	case c == '\n':
		return endLF
	}
	return endNone
}

// openCR says that e ends with CR: what follows may belong to it.
func (e lineEnd) openCR() bool { return e == endCR || e == endCRCR }

// endOfData is the end of mail data and nothing else is: RFC 5321 §4.1.1.4. The CRLF of
// DATA's own line, or of the last text line, is its first half.
const endOfData = "\r\n.\r\n"

// tail is what the last octets may be the beginning of. It is the zero value where that
// is nothing.
type tail struct {
	exact   uint8   // how many octets of endOfData they are
	before  lineEnd // the line end they are; NULs are left out here and below
	nul     bool    // a NUL stands in or behind before
	pending Ending  // the ending whose dot they have, without what stands behind it; 0: no dot
	behind  lineEnd // the line end behind that dot
}

// atStart is the tail behind DATA's CRLF: a first line of one dot ends empty mail data.
var atStart = tail{exact: 2, before: endCRLF}

// empty says that t is the zero value: the other fields are set only along with these.
func (t *tail) empty() bool { return t.before == endNone && t.pending == 0 }

// open says that the last octets are openEnd.
func (t *tail) open() bool { return int(t.exact) == len(endOfData)-1 }

// afterCR says that the last octet is a CR.
func (t *tail) afterCR() bool { return t.exact == 1 || t.exact == 4 }

// next follows one octet. It says whether mail data ends with it, and if not, which
// lenient ending does.
func (t *tail) next(c byte) (e Ending, end bool) {
	switch {
	case c == endOfData[t.exact]:
		t.exact++
	case c == '\r': // the only beginning of endOfData that one octet can be
		t.exact = 1
	default:
		t.exact = 0
	}
	if int(t.exact) == len(endOfData) {
		*t = tail{}
		return 0, true
	}
	if c == 0 {
		t.nul = t.before != endNone
		if t.pending != 0 {
			t.pending |= nulBit
		}
		return 0, false
	}
	if t.pending != 0 {
		e = t.closing(c)
	}
	if c == '.' && t.before != endNone {
		before := t.before
		if before == endCRCR {
			before = endCR
		}
		t.pending = Ending(before) << beforeShift
		if t.nul {
			t.pending |= nulBit
		}
	}
	if !t.before.openCR() || c != '\r' && c != '\n' {
		t.nul = false // another line end begins, or none
	}
	t.before = t.before.then(c)
	return e, false
}

// closing follows an octet behind the dot of the pending ending.
func (t *tail) closing(c byte) (e Ending) {
	was := t.behind
	t.behind = was.then(c)
	switch {
	case t.behind == endCR: // with LF, or CR and LF, it is another ending
		return t.pending | Ending(endCR)
	case t.behind == endCRCR && was == endCR:
		return 0
	case t.behind != endNone && t.behind != endCRCR:
		e = t.pending | Ending(t.behind)
	}
	t.pending, t.behind = 0, endNone
	return e
}

// recall makes t, which was the zero value, what it is behind the octets of b, in which
// no ending is complete.
func (t *tail) recall(b []byte) {
	i := len(b)
	if i > 0 && b[i-1] == '.' {
		i--
	}
	for i > 0 && isBreak(b[i-1]) {
		i--
	}
	for _, c := range b[i:] {
		t.next(c)
	}
}

// isBreak says whether c is one of the octets that stand beside the dot of an ending.
func isBreak(c byte) bool { return c == '\r' || c == '\n' || c == 0 }
