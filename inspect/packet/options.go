package packet

import "encoding/binary"

// Kinds of TCP options, of IANA's registry.
const (
	optEnd           = 0
	optNop           = 1
	optMSS           = 2  // RFC 9293 section 3.7.1
	optWScale        = 3  // RFC 7323 section 2.2
	optSACKPermitted = 4  // RFC 2018 section 2
	optTimestamp     = 8  // RFC 7323 section 3.2
	optMD5           = 19 // RFC 2385 section 3
	optAO            = 29 // RFC 5925 section 2.2
	optMultipath     = 30 // RFC 8684 section 3
	optFastOpen      = 34 // RFC 7413 section 4.1.1
	optExperiment    = 254

	// fastOpenExperiment is the ExID under which Fast Open went before it had a kind
	// of its own (RFC 7413 appendix A.2).
	fastOpenExperiment = 0xf989
	// maxWScale is the largest shift; a larger one counts as this (RFC 7323
	// section 2.3).
	maxWScale = 14
)

// Options are the TCP options that inspection uses. MSS is 0 where there is none.
type Options struct {
	MSS           uint16
	WScale        uint8 // at most 14
	HasWScale     bool
	SACKPermitted bool
	HasTimestamp  bool
	TSVal, TSEcr  uint32
	MD5           bool // the segment is signed: no edit will pass its receiver
	AO            bool // likewise
	FastOpen      bool
}

// ParseOptions reads a TCP header's options. It returns false where they are
// malformed, and then what stood before the fault: a receiver goes no further either
// (RFC 9293 section 3.2, MUST-7). An option of a known kind with a wrong length is
// such a fault for the answer, but is passed over, as Linux does.
func ParseOptions(b []byte) (o Options, ok bool) {
	ok = true
	for len(b) > 0 {
		switch b[0] {
		case optEnd:
			return o, ok
		case optNop:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return o, false
		}
		ok = o.take(b[0], b[2:b[1]]) && ok
		b = b[b[1]:]
	}
	return o, ok
}

// take notes one option; false where its length doesn't fit its kind.
func (o *Options) take(kind byte, value []byte) bool {
	switch kind {
	case optMSS:
		if len(value) != 2 {
			return false
		}
		o.MSS = binary.BigEndian.Uint16(value)
	case optWScale:
		if len(value) != 1 {
			return false
		}
		o.WScale, o.HasWScale = min(value[0], maxWScale), true
	case optSACKPermitted:
		if len(value) != 0 {
			return false
		}
		o.SACKPermitted = true
	case optTimestamp:
		if len(value) != 8 {
			return false
		}
		o.TSVal, o.TSEcr = binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:])
		o.HasTimestamp = true
	case optMD5:
		if len(value) != 16 {
			return false
		}
		o.MD5 = true
	case optAO:
		if len(value) < 2 {
			return false
		}
		o.AO = true
	case optFastOpen:
		o.FastOpen = true
	case optExperiment:
		if len(value) >= 2 && binary.BigEndian.Uint16(value) == fastOpenExperiment {
			o.FastOpen = true
		}
	}
	return true
}

// LowerMSS makes a SYN's MSS option at most limit, in the packet, and says whether it
// changed. SetChecksums is due then. A SYN without the option stands for 536 octets
// (RFC 9293 section 3.7.1).
func (v *View) LowerMSS(limit uint16) bool {
	for b := v.Options; len(b) > 1 && b[0] != optEnd; {
		switch {
		case b[0] == optNop:
			b = b[1:]
		case b[1] < 2 || int(b[1]) > len(b):
			return false
		case b[0] == optMSS && b[1] == 4:
			if binary.BigEndian.Uint16(b[2:]) <= limit {
				return false
			}
			binary.BigEndian.PutUint16(b[2:], limit)
			return true
		default:
			b = b[b[1]:]
		}
	}
	return false
}

// ClearMultipath overwrites Multipath TCP's options with padding, in the packet, and
// says whether there were any. SetChecksums is due then. Without them on a SYN both
// ends fall back to TCP (RFC 8684 section 3.7).
func (v *View) ClearMultipath() (cleared bool) {
	for b := v.Options; len(b) > 1 && b[0] != optEnd; {
		if b[0] == optNop {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return cleared
		}
		if b[0] == optMultipath {
			for i := range b[:n] {
				b[i] = optNop
			}
			cleared = true
		}
		b = b[n:]
	}
	return cleared
}
