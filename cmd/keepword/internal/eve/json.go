package eve

import (
	"strconv"
	"unicode/utf8"
)

// appendString appends s as a JSON string, octet for octet as encoding/json writes it with
// SetEscapeHTML(false): on one line, whatever the wire had.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0 // s is in b up to here
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[done:i]...)
		if c < utf8.RuneSelf {
			b = appendEscaped(b, c)
			i++
		} else {
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1: // no UTF-8
				b = append(b, `\ufffd`...)
			case r == '\u2028': // the line separators, which end a line of JavaScript
				b = append(b, `\u2028`...)
			case r == '\u2029':
				b = append(b, `\u2029`...)
			default:
				b = append(b, s[i:i+n]...)
			}
			i += n
		}
		done = i
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// appendEscaped appends an ASCII character that may not stand in a string (RFC 8259 section 7).
func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// appendMember appends a member that is a string, with its name, a fragment such as
// `"helo":`, and a comma behind it; nothing for "".
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = appendString(b, value)
	return append(b, ',')
}

// endList puts end in the place of the comma behind the last item.
func endList(b []byte, end byte) []byte {
	b[len(b)-1] = end
	return b
}

// appendPadded appends n, which is not negative, with zeros before it up to that width, six
// at most.
func appendPadded(b []byte, n int64, width int) []byte {
	const zeros = "00000"
	for least := int64(10); width > 1; least *= 10 {
		width--
		if n < least {
			b = append(b, zeros[:width]...)
			break
		}
	}
	return strconv.AppendInt(b, n, 10)
}
