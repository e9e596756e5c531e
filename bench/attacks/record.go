package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
)

// TLS in the pure play is what an onlooker sees of it: a real ClientHello, a ServerHello,
// and records of application data, whose content here is clear text (RFC 8446 section 5.1).

const (
	recordHeader    = 5
	handshakeRecord = 22
	dataRecord      = 23
)

// clientHello is the first flight of Go's client. It has a line feed, so that a server
// that takes it for a command answers.
var clientHello = sync.OnceValue(func() []byte {
	for {
		if hello := goClientHello(); bytes.IndexByte(hello, '\n') > 0 {
			return hello
		}
	}
})

func goClientHello() []byte {
	near, far := net.Pipe()
	go func() {
		// It fails when far is closed, which is all that is wanted of it.
		_ = tls.Client(near, &tls.Config{ServerName: "mx.example"}).Handshake()
		near.Close()
	}()
	hello := make([]byte, 1<<14) // the longest record (RFC 8446 section 5.1)
	n, _ := far.Read(hello)      // it is one write; where it failed there is no line feed in it
	far.Close()
	return hello[:n]
}

// serverHello chooses TLS 1.3 (RFC 8446 section 4.1.3).
var serverHello = record(handshakeRecord, func() []byte {
	body := []byte{3, 3}
	body = append(body, make([]byte, 32)...)     // random
	body = append(body, 0, 0x13, 0x01, 0)        // no session, a cipher suite, no compression
	body = append(body, 0, 6, 0, 43, 0, 2, 3, 4) // supported_versions
	return append([]byte{2, 0, 0, byte(len(body))}, body...)
}())

// record puts a header before content.
func record(kind byte, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(content))), content...)
}

// recordReader cuts a stream into records.
type recordReader struct{ buffer []byte }

// next returns the next whole record. isTLS is false where the stream is none of records.
func (r *recordReader) next() (kind byte, content []byte, ok, isTLS bool) {
	b := r.buffer
	if len(b) > 0 && (b[0] < 20 || b[0] > dataRecord) || len(b) > 1 && b[1] != 3 {
		return 0, nil, false, false
	}
	if len(b) < recordHeader {
		return 0, nil, false, true
	}
	end := recordHeader + int(binary.BigEndian.Uint16(b[3:]))
	if len(b) < end {
		return 0, nil, false, true
	}
	r.buffer = b[end:]
	return b[0], b[recordHeader:end], true, true
}
