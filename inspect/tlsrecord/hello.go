package tlsrecord

import "bytes"

// Handshake message types, RFC 8446 section 4.
const (
	messageClientHello = 1
	messageServerHello = 2
)

// Extension types, RFC 8446 section 4.2.
const (
	extServerName        = 0
	extSupportedVersions = 43
)

const (
	messageHeaderLen = 4  // RFC 8446 section 4
	randomLen        = 32 // RFC 8446 section 4.1.2
	extHeaderLen     = 4  // RFC 8446 section 4.2
	chosenLen        = 3  // cipher_suite and legacy_compression_method
	maxSessionID     = 32 // RFC 8446 section 4.1.2
	hostName         = 0  // the only NameType, RFC 6066 section 3
)

// retryRandom is the Random that makes a ServerHello a HelloRetryRequest: SHA-256 of
// that name, RFC 8446 section 4.1.3.
var retryRandom = [randomLen]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// field is the part of a handshake message that is being read.
type field uint8

const (
	fieldNone       field = iota // between messages
	fieldHeader                  // message type and length
	fieldVersion                 // legacy_version
	fieldRandom                  // random
	fieldSessionLen              // legacy_session_id: length
	fieldSession                 // legacy_session_id
	fieldSuitesLen               // ClientHello's cipher_suites: length
	fieldSuites                  // cipher_suites
	fieldMethodsLen              // ClientHello's legacy_compression_methods: length
	fieldMethods                 // legacy_compression_methods
	fieldChosen                  // ServerHello's cipher_suite and legacy_compression_method
	fieldExtsLen                 // extensions: length
	fieldExtHeader               // an extension's type and length
	fieldRest                    // what is left of the message, of no interest
	fieldDone                    // after the hello: what follows may be encrypted

	// The fields from here on lie within an extension.

	fieldExt         // an extension of no interest
	fieldVersionsLen // ClientHello's supported_versions: length
	fieldSupported   // one of the versions, or ServerHello's selected_version
	fieldNamesLen    // server_name: length of the list
	fieldNameHeader  // a name's type and length
	fieldName        // the first host name
	fieldOtherName   // any other
)

// hello reads handshake messages up to and with the first hello, octet by octet.
type hello struct {
	field     field
	message   uint8  // the type of the message at hand
	extLeft   uint16 // octets of the extension at hand still to come
	left      uint32 // octets of the message at hand still to come
	need      uint32 // octets of the field at hand still to come
	value     uint32 // a field of up to 4 octets, as a number
	retry     uint8  // octets of random, while all were retryRandom's
	nameLen   uint8
	name      [maxName]byte
	version   uint16
	highest   uint16 // of supported_versions; 0 where the extension is absent
	malformed bool
}

// parse reads from b and stops at the first event.
func (h *hello) parse(b []byte) (n int, ev Event) {
	for n < len(b) && ev == None {
		if h.field == fieldDone {
			return len(b), None
		}
		if h.field == fieldNone {
			if size := h.whole(b[n:]); size > 0 {
				n += size
				ev = h.end()
				continue
			}
			h.field, h.need, h.value = fieldHeader, messageHeaderLen, 0
		}
		part := b[n:]
		part = part[:min(uint32(len(part)), h.need)]
		h.take(part)
		n += len(part)
		for h.need == 0 && h.field != fieldNone && h.field != fieldDone {
			ev = h.advance()
		}
	}
	return n, ev
}

// take reads a part of the field at hand.
func (h *hello) take(part []byte) {
	switch h.field {
	case fieldSession, fieldSuites, fieldMethods, fieldChosen, fieldRest, fieldExt, fieldOtherName:
	case fieldRandom:
		if h.message == messageClientHello {
			break
		}
		at := len(retryRandom) - int(h.need)
		if int(h.retry) == at && bytes.Equal(part, retryRandom[at:at+len(part)]) {
			h.retry += uint8(len(part))
		}
	case fieldName:
		h.nameLen += uint8(copy(h.name[h.nameLen:], part))
	default:
		for _, c := range part {
			h.value = h.value<<8 | uint32(c)
		}
	}
	n := uint32(len(part))
	h.need -= n
	if h.field != fieldHeader {
		h.left -= n
	}
	if h.field > fieldDone {
		h.extLeft -= uint16(n)
	}
}

// enter makes f, of n octets, the field at hand. Where what encloses it has fewer
// left, the message is malformed.
func (h *hello) enter(f field, n uint32) {
	limit := h.left
	if f > fieldDone {
		limit = uint32(h.extLeft)
	}
	if n > limit {
		h.spoil()
		return
	}
	h.field, h.need, h.value = f, n, 0
}

// spoil passes over the rest of a malformed message.
func (h *hello) spoil() {
	h.malformed = true
	h.enter(fieldRest, h.left)
}

// advance goes on from a field that is complete, and returns the event where that was
// the message's last.
func (h *hello) advance() Event {
	switch h.field {
	case fieldHeader:
		h.begin()
	case fieldVersion:
		h.version = uint16(h.value)
		h.enter(fieldRandom, randomLen)
	case fieldRandom:
		h.enter(fieldSessionLen, 1)
	case fieldSessionLen:
		if h.value > maxSessionID {
			h.spoil()
			break
		}
		h.enter(fieldSession, h.value)
	case fieldSession:
		if h.message == messageServerHello {
			h.enter(fieldChosen, chosenLen)
			break
		}
		h.enter(fieldSuitesLen, 2)
	case fieldSuitesLen:
		h.enter(fieldSuites, h.value)
	case fieldSuites:
		h.enter(fieldMethodsLen, 1)
	case fieldMethodsLen:
		h.enter(fieldMethods, h.value)
	case fieldMethods, fieldChosen:
		// Before TLS 1.3 a hello may end here (RFC 5246 section 7.4.1.2).
		if h.left == 0 {
			h.enter(fieldRest, 0)
			break
		}
		h.enter(fieldExtsLen, 2)
	case fieldExtsLen:
		if h.value != h.left {
			h.spoil()
			break
		}
		h.nextExtension()
	case fieldRest:
		return h.end()
	default:
		h.advanceExtension()
	}
	return None
}

// begin is called when a message's header is complete.
func (h *hello) begin() {
	h.message, h.left = uint8(h.value>>24), h.value&0xffffff
	if h.message != messageClientHello && h.message != messageServerHello {
		h.enter(fieldRest, h.left)
		return
	}
	h.version, h.highest, h.retry, h.nameLen, h.malformed = 0, 0, 0, 0, false
	h.enter(fieldVersion, 2)
}

// end is called when a message is complete.
func (h *hello) end() Event {
	h.field = fieldNone
	if h.message != messageClientHello && h.message != messageServerHello {
		return None
	}
	if h.highest != 0 {
		h.version = h.highest
	}
	switch {
	case h.message == messageServerHello && int(h.retry) == len(retryRandom):
		return HelloRetryRequest
	case h.message == messageServerHello:
		h.field = fieldDone
		return ServerHello
	}
	h.field = fieldDone
	return ClientHello
}

func (h *hello) nextExtension() {
	if h.left == 0 {
		h.enter(fieldRest, 0)
		return
	}
	h.enter(fieldExtHeader, extHeaderLen)
}

// advanceExtension goes on from a complete field of an extension.
func (h *hello) advanceExtension() {
	switch h.field {
	case fieldExtHeader:
		h.beginExtension()
	case fieldVersionsLen, fieldNamesLen:
		if h.value != uint32(h.extLeft) || h.value == 0 {
			h.spoil()
			break
		}
		h.nextItem()
	case fieldSupported:
		// Others than 3.x are GREASE (RFC 8701) and drafts.
		if v := uint16(h.value); v>>8 == 3 {
			h.highest = max(h.highest, v)
		}
		h.nextItem()
	case fieldNameHeader:
		kind, length := h.value>>16, h.value&0xffff
		switch {
		case length == 0:
			h.spoil()
		case kind == hostName && h.nameLen == 0 && length <= maxName:
			h.enter(fieldName, length)
		default:
			h.enter(fieldOtherName, length)
		}
	case fieldName, fieldOtherName:
		h.nextItem()
	default:
		h.nextExtension()
	}
}

// beginExtension is called when an extension's header is complete.
func (h *hello) beginExtension() {
	kind, length := h.value>>16, h.value&0xffff
	if length > h.left {
		h.spoil()
		return
	}
	h.extLeft = uint16(length)
	switch {
	case kind == extSupportedVersions && h.message == messageServerHello && length != 2:
		h.spoil()
	case kind == extSupportedVersions && h.message == messageServerHello:
		h.enter(fieldSupported, 2)
	case kind == extSupportedVersions:
		h.enter(fieldVersionsLen, 1)
	case kind == extServerName && h.message == messageClientHello:
		h.enter(fieldNamesLen, 2)
	default:
		h.enter(fieldExt, length)
	}
}

// nextItem goes on within the list of versions or of names, or behind it.
func (h *hello) nextItem() {
	switch {
	case h.extLeft == 0:
		h.nextExtension()
	case h.field == fieldVersionsLen || h.field == fieldSupported:
		h.enter(fieldSupported, 2)
	default:
		h.enter(fieldNameHeader, 3)
	}
}
