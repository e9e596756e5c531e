package main

import (
	"strings"
	"testing"
)

// flowOf is a flow of which that was inspected, with an edit of the client's octets.
func flowOf(client, server string, mayEnd bool, edits ...edit) *readFlow {
	f := &readFlow{mayEnd: mayEnd}
	f.streams[ClientSide] = readStream{octets: []byte(client), edits: edits}
	f.streams[ServerSide] = readStream{octets: []byte(server)}
	return f
}

func TestWhatWasGotIsTheBeginningOfWhatWasInspectedWithItsEdits(t *testing.T) {
	const (
		hello   = "\x16\x03\x03\x00\x02hi"
		data    = "\x17\x03\x03\x00\x02xx"
		change  = "\x14\x03\x03\x00\x01\x01"
		asked   = "EHLO a\r\nSTARTTLS\r\n"
		granted = "220 a\r\n250 STARTTLS\r\n220 Go\r\n"
	)
	noop := edit{0, []byte("NOOP")}
	for _, c := range []struct {
		name string
		flow *readFlow
		side Side
		got  string
		want bool
	}{
		{"nothing edited", flowOf("MAIL x\r\n", "", false), ClientSide, "MAIL x", true},
		{"an octet that differs", flowOf("MAIL x\r\n", "", false), ClientSide, "MAIL y", false},
		{"more than was inspected", flowOf("MAIL x\r\n", "", false), ClientSide, "MAIL x\r\ny", false},
		{"an edit", flowOf("MAIL x\r\n", "", false, noop), ClientSide, "NOOP x\r\n", true},
		{"an edit that did not arrive", flowOf("MAIL x\r\n", "", false, noop), ClientSide, "MAIL x\r\n", false},
		{"an edit of octets that were edited before", flowOf("MAIL x\r\n", "", false, noop, edit{2, []byte("XX")}), ClientSide, "NOXX", true},
		{"a farewell", flowOf("", "220 a\r\n", true), ServerSide, "220 a\r\n421 4.7.0 Why\r\n", true},
		{"a farewell in the midst", flowOf("", "220 a\r\n", true), ServerSide, "220 a\r\n421 4.7.0 Why\r\nmore\r\n", false},
		{"a farewell that nobody said", flowOf("", "220 a\r\n", false), ServerSide, "220 a\r\n421 4.7.0 Why\r\n", false},
		{"behind TLS", flowOf(asked+hello+data, granted+hello+data, false), ClientSide, asked + hello + data + "more", true},
		{"behind TLS 1.2", flowOf(asked+hello+change, granted+hello+change, false), ServerSide, granted + hello + change + "more", true},
		{"behind a part of a record", flowOf(asked+hello+"\x17", granted+hello+data, false), ClientSide, asked + hello + data, true},
		{"behind half of a handshake", flowOf(asked+hello, granted+hello+data, false), ClientSide, asked + hello + "more", false},
		{"another before TLS", flowOf(asked+hello+data, granted+hello+data, false), ClientSide, "X" + (asked + hello + data + "more")[1:], false},
	} {
		if got := c.flow.explains(c.side, []byte(c.got)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAForbiddenCommandIsAViolation(t *testing.T) {
	for p := range policies {
		o := Outcome{Schedule: &Schedule{Policy: p, Lawful: true}}
		a := account{acted: []string{"STARTTLS", "STARTTLS where STARTTLS is offered", "MAIL", "AUTH where STARTTLS is offered"}}
		a.got[ServerSide] = [][]byte{nil}
		o.judge(&a, nil)
		want := map[Policy]int{Auto: 0, Require: 2, Hide: 1, Refuse: 2}[p]
		if got := strings.Count(o.Violation, "the server acts on"); got != want {
			t.Errorf("%v: %d of them", p, got)
		}
	}
}
