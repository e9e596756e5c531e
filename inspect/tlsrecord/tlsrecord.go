// Package tlsrecord follows the first flight of TLS in one direction of a
// connection: the record layer (RFC 8446 section 5.1, RFC 5246 section 6.2), the
// ClientHello with its versions and server name (RFC 8446 sections 4.1.2 and 4.2.1,
// RFC 6066 section 3), the ServerHello (RFC 8446 section 4.1.3) and alerts in clear
// (RFC 8446 section 6).
//
// The parser keeps no message: octets are read where they lie, a hello may be of any
// size and spread over any number of records, and any cutting of the same octets gives
// the same events. It never allocates.
package tlsrecord

// Event is what Parse stopped at.
type Event uint8

const (
	// None says that all octets were used up.
	None Event = iota
	// NotTLS says that the octets that follow are no TLS record. Nothing else comes
	// after it.
	NotTLS
	// ClientHello is a complete first ClientHello: Version is the highest that it
	// offers, SNI the server's name in it.
	ClientHello
	// HelloRetryRequest is a complete one (RFC 8446 section 4.1.4): the server speaks
	// TLS, its ServerHello is yet to come. Version is the selected one.
	HelloRetryRequest
	// ServerHello is a complete one: Version is the selected one.
	ServerHello
	// Alert is an alert in clear: see AlertLevel, AlertDescription, AlertName.
	Alert
	// EncryptedAlert is the header of an alert record whose text can't be read. In
	// TLS 1.3 protected alerts look like application data instead.
	EncryptedAlert
	// ChangeCipherSpec is the header of such a record.
	ChangeCipherSpec
	// ApplicationData is the header of the first record of type 23. In TLS 1.3 the
	// encrypted part of the handshake goes by this type too, so that the first one of
	// each side is a part of the handshake, or an alert.
	ApplicationData

	events
)

var eventNames = [events]string{"none", "not TLS", "ClientHello", "HelloRetryRequest", "ServerHello", "alert",
	"encrypted alert", "ChangeCipherSpec", "application data"}

// String returns the event's name.
func (e Event) String() string {
	if e < events {
		return eventNames[e]
	}
	return "invalid"
}

// Record types, RFC 8446 appendix B.1 and RFC 6520 section 3.
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
	typeHeartbeat        = 24

	// typeSSLv2 is no record type but the first octet of the only SSLv2 message that
	// anybody still sends: a ClientHello for servers of either kind, RFC 5246
	// appendix E.2.
	typeSSLv2 = 0x80
)

const (
	headerLen = 5
	// maxPlaintext is the longest record in clear (RFC 8446 section 5.1).
	maxPlaintext = 1 << 14
	// maxCiphertext is the longest protected record (RFC 5246 section 6.2.3; TLS 1.3
	// allows less).
	maxCiphertext = maxPlaintext + 2048
	// minProtectedAlert is the shortest alert record under any cipher suite: 2 octets
	// and the 16 of ChaCha20-Poly1305's tag or of an MD5 MAC.
	minProtectedAlert = 18
	// minSSLv2Hello are the octets of an SSLv2 ClientHello's fixed fields.
	minSSLv2Hello = 9
	// maxMinor is the highest second octet of a record's version: TLS 1.3's, which is
	// tolerated although it is never sent.
	maxMinor = 4
	// maxName is the longest host name that is kept, DNS's limit (RFC 1035
	// section 2.3.4).
	maxName = 255
)

// Parser follows one direction. The zero value is ready; Parse must be given the
// octets of the direction in order, from the first that may be TLS.
type Parser struct {
	// The record at hand.
	kind   uint8 // its type, or typeSSLv2
	at     uint8 // octets of its header that were read
	length uint16
	left   uint16 // octets of its body still to come

	started bool // a record's header was read
	bad     bool // NotTLS was reported
	data    bool // ApplicationData was reported
	alertAt uint8
	alert   [2]byte
	hello   hello
}

// Parse reads from b and stops at the first event, n octets on, or at b's end with
// None. The caller goes on with b[n:], which may be empty.
func (p *Parser) Parse(b []byte) (n int, ev Event) {
	if p.bad {
		return 0, NotTLS
	}
	for n < len(b) && ev == None {
		if p.at == headerLen {
			var m int
			m, ev = p.body(b[n:])
			n += m
			continue
		}
		if !p.header(b[n]) {
			p.bad = true
			return n, NotTLS
		}
		n++
		if p.at == headerLen {
			ev = p.begin()
		}
	}
	return n, ev
}

// header takes the next octet of a record's header, and returns false where no TLS
// record has such an octet there.
func (p *Parser) header(c byte) bool {
	var ok bool
	switch {
	case p.at == 0:
		p.kind = c
		ok = c >= typeChangeCipherSpec && c <= typeHeartbeat || c == typeSSLv2 && !p.started
	case p.kind == typeSSLv2:
		ok = p.headerSSLv2(c)
	case p.at == 1:
		ok = c == 3
	case p.at == 2:
		ok = c <= maxMinor
	case p.at == 3:
		p.length = uint16(c) << 8
		ok = true
	default:
		p.length |= uint16(c)
		p.left = p.length
		limit := uint16(maxCiphertext)
		if !p.started {
			limit = maxPlaintext
		}
		// Only application data may be empty (RFC 8446 section 5.1).
		ok = p.length <= limit && (p.length > 0 || p.kind == typeApplicationData)
	}
	p.at++
	return ok
}

// headerSSLv2 takes the octets that follow the first: the length, the message type
// and the version.
func (p *Parser) headerSSLv2(c byte) bool {
	switch p.at {
	case 1:
		p.length = uint16(c)
		p.left = p.length - (headerLen - 2) // the length counts from the third octet on
		return c >= minSSLv2Hello
	case 2:
		return c == messageClientHello
	case 3:
		p.hello.version = uint16(c) << 8
		return c == 0 || c == 3
	}
	p.hello.version |= uint16(c)
	return p.hello.version == 0x0002 || p.hello.version>>8 == 3 && c <= maxMinor
}

// begin is called when a record's header is complete.
func (p *Parser) begin() Event {
	p.started = true
	ev := None
	switch p.kind {
	case typeChangeCipherSpec:
		ev = ChangeCipherSpec
	case typeAlert:
		p.alertAt = 0
		if p.length >= minProtectedAlert {
			ev = EncryptedAlert
		}
	case typeApplicationData:
		if !p.data {
			p.data = true
			ev = ApplicationData
		}
	}
	if p.left == 0 {
		p.at = 0
	}
	return ev
}

// body reads from a record's body.
func (p *Parser) body(b []byte) (n int, ev Event) {
	b = b[:min(len(b), int(p.left))]
	n = len(b)
	switch {
	case p.kind == typeHandshake:
		n, ev = p.hello.parse(b)
	case p.kind == typeAlert && p.length < minProtectedAlert && int(p.alertAt) < len(p.alert):
		n = copy(p.alert[p.alertAt:], b)
		p.alertAt += uint8(n)
		if int(p.alertAt) == len(p.alert) {
			ev = Alert
		}
	case p.kind == typeSSLv2 && n == int(p.left):
		ev = ClientHello
	}
	p.left -= uint16(n)
	if p.left == 0 {
		p.at = 0
	}
	return n, ev
}

// Version returns the version of the hello that the last event of that kind reported:
// 0x0304 is TLS 1.3, 0x0300 SSL 3.0, 0x0002 SSL 2.0.
func (p *Parser) Version() uint16 { return p.hello.version }

// SNI returns the host name in the ClientHello, or "" where it has none or one of more
// than 255 octets. It may hold any octet. It is lent until the next Parse.
func (p *Parser) SNI() []byte { return p.hello.name[:p.hello.nameLen] }

// Malformed says that the last hello contradicts itself, so that its receiver will
// refuse it. Version and SNI are then what was read up to the fault.
func (p *Parser) Malformed() bool { return p.hello.malformed }

// Between says that no record is under way: a receiver has all that it needs to go on.
func (p *Parser) Between() bool { return p.at == 0 }

// MayBeClientHello says whether prefix, one octet or more, can be the beginning of a
// direction that begins with a ClientHello, be it only an SSLv2-compatible one.
func MayBeClientHello(prefix []byte) bool {
	if len(prefix) == 0 {
		return false
	}
	var p Parser
	for _, c := range prefix[:min(len(prefix), headerLen)] {
		if !p.header(c) {
			return false
		}
	}
	return p.kind == typeSSLv2 ||
		p.kind == typeHandshake && (len(prefix) <= headerLen || prefix[headerLen] == messageClientHello)
}
