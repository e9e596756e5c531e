package main

import "bytes"

// security is what an end believes of TLS.
type security uint8

const (
	inTheClear security = iota
	handshaking
	inTLS
)

// talker is what both model ends have in common: lines in clear text, or records.
type talker struct {
	fixture *fixture
	ways
	say     func(octets []byte) // queues octets
	leave   func()              // closes the connection in good order
	tls     security
	lines   []byte // octets not yet read as lines, of clear text or of records
	records recordReader
	gone    bool
	// deceived says that clear text came where TLS was to begin.
	deceived bool
}

// speak says text, in TLS as a record.
func (t *talker) speak(text string) {
	if t.tls == inTLS {
		t.say(record(dataRecord, []byte(text)))
		return
	}
	t.say([]byte(text))
}

func (t *talker) close() {
	if !t.gone {
		t.gone = true
		t.leave()
	}
}

// begin goes over to TLS. What is in the buffer is thrown away (RFC 3207 section 4.2), or
// kept by who is careless.
func (t *talker) begin() {
	t.tls = handshaking
	if !t.keepsBuffer {
		t.lines = nil
	}
}

// line takes the next line off the buffer. It ends with LF, or for the lenient with CR.
func (t *talker) line() (line string, ok bool) {
	i := bytes.IndexByte(t.lines, '\n')
	if t.takesCR {
		if j := bytes.IndexByte(t.lines, '\r'); j >= 0 && (i < 0 || j < i-1) && j+1 < len(t.lines) {
			i = j
		}
	}
	if i < 0 {
		return "", false
	}
	line = string(t.lines[:i+1])
	t.lines = t.lines[i+1:]
	return line, true
}

// hear takes octets off the wire, and gives records to handshake until TLS is up. It says
// whether there may be lines to read.
func (t *talker) hear(octets []byte, handshake func(content []byte)) bool {
	if t.gone {
		return false
	}
	if t.tls == inTheClear {
		if t.dropsNUL {
			octets = bytes.ReplaceAll(octets, []byte{0}, nil)
		}
		t.lines = append(t.lines, octets...)
		return true
	}
	t.records.buffer = append(t.records.buffer, octets...)
	for !t.gone {
		kind, content, ok, isTLS := t.records.next()
		switch {
		case !isTLS:
			t.deceived = t.tls == handshaking
			t.close()
			return false
		case !ok:
			return t.tls == inTLS
		case kind == handshakeRecord && t.tls == handshaking:
			handshake(content)
		case kind == dataRecord && t.tls == inTLS:
			t.lines = append(t.lines, content...)
		}
	}
	return false
}
