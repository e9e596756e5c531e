package main

import (
	"crypto/sha256"
	"encoding/binary"

	"keepword/inspect/starttls"
)

// Record types (RFC 8446 section 5.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordData             = 23
)

// Handshake messages (RFC 8446 section 4, RFC 5246 section 7.4).
const (
	clientHello       = 1
	serverHello       = 2
	certificate       = 11
	serverKeyExchange = 12
	serverHelloDone   = 14
	clientKeyExchange = 16
)

// upgrade is STARTTLS, accepted, with what follows. It is TLS by its records and first
// messages; what is protected is chance. Real handshakes are in the recorded sessions.
func (g *generator) upgrade() {
	command := pick(g, "STARTTLS", "starttls", "STARTTLS ", "X-ANONYMOUSTLS")
	if command == "X-ANONYMOUSTLS" {
		g.d.has("X-ANONYMOUSTLS")
	}
	list := []exchange{{line(command), pick(g, line("220 2.0.0 Ready to start TLS"), line("220 Go ahead"), line("220"), lines(220, "Ready", "to start TLS")), true}}
	if g.pipelining && g.one(3) {
		g.d.has("STARTTLS at the end of a group")
		list = append([]exchange{{line("RSET"), g.ok(), false}}, list...)
	}
	g.play(list...)
	g.d.has("STARTTLS asked and accepted")
	g.secure()
}

// secure is a session of TLS.
func (g *generator) secure() {
	g.d.outcome = starttls.OutcomeUpgraded
	if g.one(10) {
		g.d.has("a client that does not trust the certificate")
		g.d.client(record(recordHandshake, g.clientHello(false)))
		g.d.server(record(recordHandshake, append(g.serverHello(g.random(32)), message(certificate, g.random(900))...)))
		const fatal, unknownCA = 2, 48 // RFC 8446 section 6
		g.d.client(record(recordAlert, []byte{fatal, unknownCA}))
		return
	}
	if g.one(2) {
		g.tls13()
	} else {
		g.tls12()
	}
	for range 1 + g.IntN(6) {
		g.d.client(record(recordData, g.random(20+g.IntN(500))))
		g.d.server(record(recordData, g.random(20+g.IntN(100))))
	}
	if g.one(2) { // close_notify, protected
		kind := byte(recordData)
		if g.one(2) {
			kind = recordAlert
		}
		g.d.client(record(kind, g.random(26)))
	}
}

// tls13 is a handshake of RFC 8446.
func (g *generator) tls13() {
	g.d.has("TLS 1.3")
	chosen := extension(43, []byte{3, 4})
	hello := g.clientHello(true)
	if g.one(4) {
		g.d.has("a ClientHello in two records")
		cut := 1 + g.IntN(len(hello)-1)
		g.d.client(record(recordHandshake, hello[:cut]))
		g.d.client(record(recordHandshake, hello[cut:]))
	} else {
		g.d.client(record(recordHandshake, hello))
	}
	change := record(recordChangeCipherSpec, []byte{1})
	if g.one(4) {
		g.d.has("HelloRetryRequest")
		retry := sha256.Sum256([]byte("HelloRetryRequest")) // RFC 8446 section 4.1.3
		g.d.server(append(record(recordHandshake, g.serverHello(retry[:], chosen, extension(51, []byte{0, 23}))), change...))
		g.d.client(append(append([]byte(nil), change...), record(recordHandshake, g.clientHello(true))...))
	}
	answer := record(recordHandshake, g.serverHello(g.random(32), chosen, extension(51, append([]byte{0, 29, 0, 32}, g.random(32)...))))
	answer = append(answer, change...)
	g.d.server(append(answer, record(recordData, g.random(800+g.IntN(3000)))...))
	g.d.client(append(append([]byte(nil), change...), record(recordData, g.random(53))...))
}

// tls12 is a handshake of RFC 5246.
func (g *generator) tls12() {
	g.d.has("TLS 1.2")
	g.d.client(record(recordHandshake, g.clientHello(false)))
	messages := [][]byte{
		g.serverHello(g.random(32), extension(65281, []byte{0})),
		message(certificate, g.random(1500)), message(serverKeyExchange, g.random(300)), message(serverHelloDone, nil),
	}
	if g.one(2) { // all in one record
		var all []byte
		for _, m := range messages {
			all = append(all, m...)
		}
		messages = [][]byte{all}
	}
	for _, m := range messages {
		g.d.server(record(recordHandshake, m))
	}
	finish := func(first []byte) []byte {
		return append(append(first, record(recordChangeCipherSpec, []byte{1})...), record(recordHandshake, g.random(40))...)
	}
	g.d.client(finish(record(recordHandshake, message(clientKeyExchange, g.random(33)))))
	g.d.server(finish(nil))
}

// clientHello is a ClientHello (RFC 8446 section 4.1.2), of TLS 1.3 or only of TLS 1.2.
func (g *generator) clientHello(newest bool) []byte {
	body := append([]byte{3, 3}, g.random(32)...)
	session := g.random(pick(g, 0, 32))
	body = append(append(body, byte(len(session))), session...)
	body = append(body, 0, 8, 0x13, 1, 0x13, 2, 0xc0, 0x2f, 0xc0, 0x30, 1, 0)
	name := []byte("mx.example")
	list := append([]byte{0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	extensions := extension(0, list)
	extensions = append(extensions, extension(10, []byte{0, 2, 0, 29})...)
	extensions = append(extensions, extension(13, []byte{0, 2, 4, 3})...)
	if newest {
		share := g.random(pick(g, 32, 1216)) // X25519, or with ML-KEM-768
		entry := append([]byte{0, 29, byte(len(share) >> 8), byte(len(share))}, share...)
		extensions = append(extensions, extension(43, []byte{4, 3, 4, 3, 3})...)
		extensions = append(extensions, extension(51, append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...))...)
	}
	if len(extensions) > 1000 {
		g.d.has("a ClientHello of several segments")
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(extensions))), extensions...)
	return message(clientHello, body)
}

// serverHello is a ServerHello (RFC 8446 section 4.1.3).
func (g *generator) serverHello(random []byte, extensions ...[]byte) []byte {
	body := append([]byte{3, 3}, random...)
	body = append(body, 0, 0x13, 1, 0)
	var all []byte
	for _, e := range extensions {
		all = append(all, e...)
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(all))), all...)
	return message(serverHello, body)
}

func extension(kind uint16, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func record(kind byte, fragment []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(fragment)))
	return append(b, fragment...)
}
