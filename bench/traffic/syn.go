package traffic

import "keepword/inspect/packet"

const (
	// MSS is what a segment over Ethernet carries beside a timestamp option, with IPv4.
	MSS = 1448
	// mostSize is what a SYN announces: the longest segment without options.
	mostSize = 1460
)

// AppendSYN appends seg, a SYN, to b with the options that packet.Segment does not know:
// maximum segment size and window scale. The segment's window is meant in units of that
// scale, as in all that follow.
func AppendSYN(b []byte, seg *packet.Segment, scale uint8) []byte {
	const more = 8
	if !seg.Flags.Has(packet.ACK) {
		seg.Ack = 0
	}
	seg.Window <<= scale // a SYN's is not scaled (RFC 7323 section 2.2)
	seg.Payload = []byte{2, 4, mostSize >> 8, mostSize & 0xff, 1, 3, 3, scale}
	start := len(b)
	b = seg.Append(b)
	ipHeader, tcpOffset := 20, 12
	if seg.Version == 6 {
		ipHeader = 40
	}
	b[start+ipHeader+tcpOffset] += more / 4 << 4 // what was payload is header
	var v packet.View
	packet.Parse(b[start:], &v)
	v.SetChecksums()
	return b
}
