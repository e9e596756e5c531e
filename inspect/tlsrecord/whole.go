package tlsrecord

import "golang.org/x/crypto/cryptobyte"

// whole reads the hello that b begins with, if all of it is there and nothing is wrong
// with it, and returns its length; else it takes nothing and returns 0. Most hellos come
// so, and are read many times faster than octet by octet, with the same result.
func (h *hello) whole(b []byte) (size int) {
	if len(b) < messageHeaderLen {
		return 0
	}
	message := b[0]
	size = messageHeaderLen + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
	if message != messageClientHello && message != messageServerHello || size > len(b) {
		return 0
	}
	s := cryptobyte.String(b[messageHeaderLen:size])
	var (
		found                  extensions
		version                uint16
		random                 []byte
		session, skipped, exts cryptobyte.String
	)
	if !s.ReadUint16(&version) || !s.ReadBytes(&random, randomLen) ||
		!s.ReadUint8LengthPrefixed(&session) || len(session) > maxSessionID {
		return 0
	}
	if message == messageClientHello {
		if !s.ReadUint16LengthPrefixed(&skipped) || !s.ReadUint8LengthPrefixed(&skipped) {
			return 0
		}
	} else if !s.Skip(chosenLen) {
		return 0
	}
	// Before TLS 1.3 a hello may end here (RFC 5246 section 7.4.1.2).
	if !s.Empty() && (!s.ReadUint16LengthPrefixed(&exts) || !s.Empty() || !found.read(exts, message)) {
		return 0
	}
	h.message, h.version, h.highest, h.retry, h.malformed = message, version, found.highest, 0, false
	h.nameLen = uint8(copy(h.name[:], found.name))
	if message == messageServerHello && string(random) == string(retryRandom[:]) {
		h.retry = randomLen
	}
	return size
}

// extensions are what is of interest in those of a hello.
type extensions struct {
	highest uint16 // of supported_versions; 0 where there are none
	name    []byte // the first host name
}

// read reads extensions, and returns false where anything is wrong with them.
func (e *extensions) read(s cryptobyte.String, message uint8) bool {
	for !s.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !s.ReadUint16(&kind) || !s.ReadUint16LengthPrefixed(&body) {
			return false
		}
		ok := true
		switch {
		case kind == extSupportedVersions:
			ok = e.versions(body, message)
		case kind == extServerName && message == messageClientHello:
			ok = e.names(body)
		}
		if !ok {
			return false
		}
	}
	return true
}

// versions reads supported_versions (RFC 8446 section 4.2.1).
func (e *extensions) versions(body cryptobyte.String, message uint8) bool {
	list := body
	if message == messageServerHello {
		if len(list) != 2 {
			return false
		}
	} else if !body.ReadUint8LengthPrefixed(&list) || !body.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var v uint16
		if !list.ReadUint16(&v) {
			return false
		}
		if v>>8 == 3 { // others are GREASE (RFC 8701) and drafts
			e.highest = max(e.highest, v)
		}
	}
	return true
}

// names reads server_name (RFC 6066 section 3).
func (e *extensions) names(body cryptobyte.String) bool {
	var list cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) || !body.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return false
		}
		if kind == hostName && e.name == nil && len(name) <= maxName {
			e.name = name
		}
	}
	return true
}
