package smtp

import "bytes"

// Verb is a command's verb.
type Verb uint8

// The verbs of RFC 5321 §4.1.1 and of the extensions that are followed.
const (
	VerbUnknown Verb = iota
	VerbHELO
	VerbEHLO
	VerbMAIL
	VerbRCPT
	VerbDATA
	VerbBDAT // RFC 3030
	VerbRSET
	VerbNOOP
	VerbQUIT
	VerbVRFY
	VerbEXPN
	VerbHELP
	VerbSTARTTLS      // RFC 3207
	VerbXANONYMOUSTLS // Exchange's X-ANONYMOUSTLS
	VerbAUTH          // RFC 4954
	VerbTURN          // RFC 821; deprecated by RFC 5321 F.1
	VerbATRN          // RFC 2645
	VerbETRN          // RFC 1985
	VerbXCLIENT       // Postfix's; 220 answers it
	VerbPROXY         // no command: what HAProxy's PROXY protocol, version 1, puts before all
	VerbGreeting      // no verb: what the server's greeting answers
	VerbAuthResponse  // no verb: a client's answer to 334
	VerbEndOfData     // no verb: the end of mail data
	VerbBDATLast      // BDAT with LAST: the message's last chunk (RFC 3030 §2)
	verbs
)

var verbNames = [verbs]string{"?", "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY",
	"EXPN", "HELP", "STARTTLS", "X-ANONYMOUSTLS", "AUTH", "TURN", "ATRN", "ETRN", "XCLIENT", "PROXY", "greeting", "auth response", "end of mail data", "BDAT LAST"}

// String returns the verb as the RFCs write it.
func (v Verb) String() string {
	if v < verbs {
		return verbNames[v]
	}
	return "invalid"
}

// upper is ASCII upper case; verbs are case-insensitive (RFC 5321 §2.4).
func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// EqualFold says whether b is s, whatever the case of its letters; s is upper case.
func EqualFold(b []byte, s string) bool { return len(b) == len(s) && HasPrefixFold(b, s) }

// HasPrefixFold says whether b begins with s, whatever the case of its letters; s is
// upper case.
func HasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if upper(b[i]) != s[i] {
			return false
		}
	}
	return true
}

// pack makes a number of up to eight octets, upper case, so that a verb is
// compared at once.
func pack[T string | []byte](s T) uint64 {
	var n uint64
	for i := range len(s) {
		n = n<<8 | uint64(upper(s[i]))
	}
	return n
}

func lookup(token []byte) Verb {
	if len(token) > 8 {
		if EqualFold(token, "X-ANONYMOUSTLS") {
			return VerbXANONYMOUSTLS
		}
		return VerbUnknown
	}
	switch pack(token) {
	case packHELO:
		return VerbHELO
	case packEHLO:
		return VerbEHLO
	case packMAIL:
		return VerbMAIL
	case packRCPT:
		return VerbRCPT
	case packDATA:
		return VerbDATA
	case packBDAT:
		return VerbBDAT
	case packRSET:
		return VerbRSET
	case packNOOP:
		return VerbNOOP
	case packQUIT:
		return VerbQUIT
	case packVRFY:
		return VerbVRFY
	case packEXPN:
		return VerbEXPN
	case packHELP:
		return VerbHELP
	case packSTARTTLS:
		return VerbSTARTTLS
	case packAUTH:
		return VerbAUTH
	case packTURN:
		return VerbTURN
	case packATRN:
		return VerbATRN
	case packETRN:
		return VerbETRN
	case packXCLIENT:
		return VerbXCLIENT
	case packPROXY:
		return VerbPROXY
	}
	return VerbUnknown
}

const (
	packHELO     = 'H'<<24 | 'E'<<16 | 'L'<<8 | 'O'
	packEHLO     = 'E'<<24 | 'H'<<16 | 'L'<<8 | 'O'
	packMAIL     = 'M'<<24 | 'A'<<16 | 'I'<<8 | 'L'
	packRCPT     = 'R'<<24 | 'C'<<16 | 'P'<<8 | 'T'
	packDATA     = 'D'<<24 | 'A'<<16 | 'T'<<8 | 'A'
	packBDAT     = 'B'<<24 | 'D'<<16 | 'A'<<8 | 'T'
	packRSET     = 'R'<<24 | 'S'<<16 | 'E'<<8 | 'T'
	packNOOP     = 'N'<<24 | 'O'<<16 | 'O'<<8 | 'P'
	packQUIT     = 'Q'<<24 | 'U'<<16 | 'I'<<8 | 'T'
	packVRFY     = 'V'<<24 | 'R'<<16 | 'F'<<8 | 'Y'
	packEXPN     = 'E'<<24 | 'X'<<16 | 'P'<<8 | 'N'
	packHELP     = 'H'<<24 | 'E'<<16 | 'L'<<8 | 'P'
	packAUTH     = 'A'<<24 | 'U'<<16 | 'T'<<8 | 'H'
	packTURN     = 'T'<<24 | 'U'<<16 | 'R'<<8 | 'N'
	packATRN     = 'A'<<24 | 'T'<<16 | 'R'<<8 | 'N'
	packPROXY    = 'P'<<32 | 'R'<<24 | 'O'<<16 | 'X'<<8 | 'Y'
	packETRN     = 'E'<<24 | 'T'<<16 | 'R'<<8 | 'N'
	packXCLIENT  = 'X'<<48 | 'C'<<40 | 'L'<<32 | 'I'<<24 | 'E'<<16 | 'N'<<8 | 'T'
	packSTARTTLS = 'S'<<56 | 'T'<<48 | 'A'<<40 | 'R'<<32 | 'T'<<24 | 'T'<<16 | 'L'<<8 | 'S'
)

// Domain returns the argument of a HELO or EHLO line (RFC 5321 §4.1.1.1).
func Domain(line []byte) []byte {
	if len(line) < 5 {
		return nil
	}
	return bytes.TrimSpace(line[5:])
}

// Path returns the path of a MAIL or RCPT line with its angle brackets (RFC 5321
// §4.1.2), as it was sent; an empty one where there is none.
func Path(line []byte) []byte {
	i := bytes.IndexByte(line, '<')
	if i < 0 {
		if i = bytes.IndexByte(line, ':'); i < 0 {
			return nil
		}
		return bytes.TrimSpace(line[i+1:])
	}
	j := bytes.IndexByte(line[i:], '>')
	if j < 0 {
		return line[i:]
	}
	return line[i : i+j+1]
}
