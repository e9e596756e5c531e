// Package page lays text out for a terminal of 80 columns.
package page

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
)

// Width is the number of columns that no line exceeds.
const Width = 80

// Printable escapes whatever is not printable ASCII, as Go string literals do. The
// result cannot steer a terminal, and has as many columns as octets.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.QuoteToASCII(s)
	return q[1 : len(q)-1]
}

// Wrap appends label and behind it value, broken at blanks, the following lines
// indented as far as the first. value is made Printable word by word; label must be
// printable, and shorter than a line. Runs of blanks in value become one.
func Wrap(b *bytes.Buffer, label, value string) {
	b.WriteString(label)
	column := len(label)
	newline := "\n" + strings.Repeat(" ", column)
	at := column
	for i, word := range strings.Fields(value) {
		word = Printable(word)
		switch {
		case i == 0:
		case at+1+len(word) > Width:
			b.WriteString(newline)
			at = column
		default:
			b.WriteByte(' ')
			at++
		}
		for at+len(word) > Width { // a path, for example, longer than a line
			cut := Width - at
			b.WriteString(word[:cut])
			b.WriteString(newline)
			word, at = word[cut:], column
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
}
