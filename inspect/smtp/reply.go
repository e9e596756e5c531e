package smtp

// ParseReplyLine reads a line of a reply (RFC 5321 §4.2, Reply-line): its code, 0
// where the line is none, whether it is the reply's last, and its text.
func ParseReplyLine(line []byte) (code int, final bool, text []byte) {
	if len(line) < 3 {
		return 0, true, line
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, true, line
		}
		code = code*10 + int(c-'0')
	}
	if len(line) == 3 {
		return code, true, nil
	}
	switch line[3] {
	case '-':
		return code, false, line[4:]
	case ' ':
		return code, true, line[4:]
	}
	return 0, true, line
}

// Keyword returns the EHLO keyword of a line of an EHLO reply behind the first
// (RFC 5321 §4.1.1.1, ehlo-line), and what follows it. Keywords compare
// without regard to case.
func Keyword(text []byte) (keyword, params []byte) {
	for i, c := range text {
		if c == ' ' || c == '\t' || c == '=' {
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}
