package packet

import "encoding/binary"

// Truncate cuts the packet to the first n octets of its payload (all of it where it
// has fewer; n is not negative), makes its lengths and checksums right, and returns it. PSH is kept, so
// that the receiver hands on what it has; FIN is cleared where anything was cut,
// because it stands behind the last octet. The view shows the shorter segment.
func (v *View) Truncate(n int) []byte {
	if n < len(v.Payload) {
		end := len(v.packet) - len(v.Payload) + n
		v.packet = v.packet[:end:end]
		v.Payload = v.Payload[:n:n]
		v.setFlags(v.Flags &^ FIN)
		if v.Version == 4 {
			binary.BigEndian.PutUint16(v.packet[2:], uint16(end))
		} else {
			binary.BigEndian.PutUint16(v.packet[4:], uint16(end-ipv6HeaderLen))
		}
	}
	v.SetChecksums()
	return v.packet
}

// ClearUrgent makes urgent data ordinary (RFC 9293 section 3.8.5): URG and the
// pointer are cleared, in the packet and in the view. SetChecksums is due.
func (v *View) ClearUrgent() {
	v.setFlags(v.Flags &^ URG)
	v.Urgent = 0
	binary.BigEndian.PutUint16(v.packet[v.tcp+tcpUrgent:], 0)
}

// SetWindow sets the window field, unscaled, in the packet and in the view.
// SetChecksums is due.
func (v *View) SetWindow(w uint16) {
	v.Window = w
	binary.BigEndian.PutUint16(v.packet[v.tcp+tcpWindow:], w)
}

// MakeReset makes the packet a RST without octets at sequence number seq (RFC 9293
// section 3.10.7.4), with its checksums right, and returns it.
func (v *View) MakeReset(seq uint32) []byte {
	v.Seq = seq
	binary.BigEndian.PutUint32(v.packet[v.tcp+tcpSeq:], seq)
	v.setFlags(RST | v.Flags&ACK)
	return v.Truncate(0)
}

// ClearFIN makes the segment one of many, in the packet and in the view. SetChecksums is
// due.
func (v *View) ClearFIN() { v.setFlags(v.Flags &^ FIN) }

func (v *View) setFlags(f Flags) {
	v.Flags = f
	v.packet[v.tcp+tcpFlags] = byte(f)
}
