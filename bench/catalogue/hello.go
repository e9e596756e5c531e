package main

import (
	"encoding/binary"
	"strings"
)

// The versions of TLS that the fixtures speak, as on the wire.
const (
	tls10 = 0x0301
	tls13 = 0x0304
)

// record is a TLS record (RFC 8446 §5.1).
func record(kind byte, version int, body string) string {
	b := binary.BigEndian.AppendUint16([]byte{kind}, uint16(min(version, 0x0303)))
	return string(binary.BigEndian.AppendUint16(b, uint16(len(body)))) + body
}

// handshake is a handshake message in a record (RFC 8446 §4).
func handshake(kind byte, version int, body string) string {
	const handshake = 22
	return record(handshake, version, string([]byte{kind, 0, byte(len(body) >> 8), byte(len(body))})+body)
}

// random stands for what both sides draw.
var random = strings.Repeat("keepword", 4)

// clientHello asks for mx.example with any version up to 1.3.
func clientHello() string {
	const name = "mx.example"
	serverName := "\x00\x00\x00\x0f\x00\x0d\x00\x00\x0a" + name
	versions := "\x00\x2b\x00\x05\x04\x03\x04\x03\x01"
	return handshake(1, tls10, "\x03\x03"+random+"\x00"+ // no session
		"\x00\x02\x13\x01\x01\x00"+ // TLS_AES_128_GCM_SHA256, no compression
		string([]byte{0, byte(len(serverName) + len(versions))})+serverName+versions)
}

// serverHello chooses a version.
func serverHello(version int) string {
	body := "\x03\x03" + random + "\x00\x13\x01\x00" + "\x00\x06\x00\x2b\x00\x02\x03\x04"
	if version != tls13 {
		body = string([]byte{3, byte(version)}) + random + "\x00\x00\x2f\x00" // TLS_RSA_WITH_AES_128_CBC_SHA
	}
	return handshake(2, version, body)
}

// protected is a record of protected data.
func protected(version int) string { return record(23, version, "keys in use") }

// refusal is the alert handshake_failure (RFC 8446 §6).
func refusal() string { return record(21, tls10, "\x02\x28") }

// secured brings a handshake to its end: TLS is up.
func secured(version int) step {
	return script(s(serverHello(version)), c(protected(version)), s(protected(version)), c(protected(version)))
}
