package lab

import (
	"bytes"
	"testing"
)

func TestAMessageIsWhatSMTPCanCarry(t *testing.T) {
	const size = 100_000
	m := NewMessage(size)
	header, body, _ := bytes.Cut(m.Text, []byte("\r\n\r\n"))
	if !bytes.Contains(header, []byte("Message-ID: "+m.ID)) {
		t.Error("no Message-ID")
	}
	if len(body) < size || len(body) > size+1000 {
		t.Errorf("a body of %d octets", len(body))
	}
	dots := false
	for line := range bytes.Lines(m.Text) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || len(line) > 998 || bytes.ContainsAny(text, "\r\n") {
			t.Fatalf("line %q", line)
		}
		dots = dots || bytes.HasPrefix(text, []byte("."))
	}
	if !dots {
		t.Error("no line begins with a dot")
	}
	if bytes.Contains(m.stuffed(), []byte("\r\n.\r\n")) {
		t.Error("the stuffed text ends itself")
	}
	if m.ID == NewMessage(size).ID {
		t.Error("two messages have one ID")
	}
}
