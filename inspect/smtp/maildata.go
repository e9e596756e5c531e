package smtp

import "bytes"

// endOfData is the end of mail data and nothing else is: RFC 5321 §4.1.1.4. The
// CRLF of DATA's own line, or of the last text line, is its first half.
const endOfData = "\r\n.\r\n"

// dataScanner finds the end of mail data. Its value is how many octets of
// endOfData have been matched at the end of what was scanned.
type dataScanner uint8

// dataStart is the scanner behind DATA's CRLF: a first line of one dot ends empty
// mail data.
const dataStart dataScanner = 2

// scan consumes b up to the end of mail data, if it is there.
func (s *dataScanner) scan(b []byte) (n int, end bool) {
	// What earlier octets began, octet by octet.
	for n < len(b) && *s > 0 {
		s.step(b[n])
		n++
		if int(*s) == len(endOfData) {
			return n, true
		}
	}
	if n == len(b) {
		return n, false
	}
	if i := bytes.Index(b[n:], []byte(endOfData)); i >= 0 {
		*s = dataScanner(len(endOfData))
		return n + i + len(endOfData), true
	}
	// What the last octets begin.
	for _, c := range b[max(n, len(b)-len(endOfData)+1):] {
		s.step(c)
	}
	return len(b), false
}

// step follows one octet. Where the match breaks, the only prefix of endOfData
// that can be its own suffix's start is a CR.
func (s *dataScanner) step(c byte) {
	switch {
	case c == endOfData[*s]:
		*s++
	case c == '\r':
		*s = 1
	default:
		*s = 0
	}
}
