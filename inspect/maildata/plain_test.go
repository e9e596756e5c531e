package maildata_test

import (
	"testing"

	"keepword/inspect/maildata"
)

// What stands behind a lenient ending is read as commands for many lines: whoever lets the
// octets of such lines through unread would let a command through.
func TestTextBehindALenientEndingIsNotPlain(t *testing.T) {
	for _, c := range []struct {
		octets string
		plain  bool
	}{
		{"", false},
		{"a line", true},
		{"a line\r\n", false},
		{"a line\r\nanother", true},
		{"a line\n.\r\n", false},
		{"a line\n.\r\nanother", false},
		{"a line\n.\r\nanother\r\nand one more", false},
		{"a line\r\n\x00.\r\nanother\r\nand one more", false},
	} {
		var s maildata.Scanner
		s.Init()
		s.Scan([]byte(c.octets))
		if got := s.Plain(); got != c.plain {
			t.Errorf("behind %q: plain %v, want %v", c.octets, got, c.plain)
		}
	}
}
