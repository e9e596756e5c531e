package offload

import (
	"encoding/binary"

	"keepword/bpf"
	"keepword/dataplane"
	"keepword/inspect/packet"
)

// The parts of struct handback in bpf/src/types.h.
const (
	handBackClient     = 0
	handBackServer     = 16
	handBackClientPort = 32
	handBackServerPort = 34
	handBackNext       = 36
	handBackAcked      = 44
)

// handBack appends to b, in the place of the acknowledgements that were let through unlogged,
// the last of each direction, as far as they matter. They are written anew: without options,
// and with a window that nobody has to lower. p says the rest of them.
func (w *Worker) handBack(b *dataplane.Batch, p dataplane.Packet, h []byte) {
	rest := p.Passed
	first := len(b.Packets)
	for d, n := range rest.Packets {
		if n == 0 {
			continue
		}
		s := packet.Segment{
			Flags: packet.ACK, Window: 1,
			Seq: binary.NativeEndian.Uint32(h[handBackNext+4*d:]),
			Ack: binary.NativeEndian.Uint32(h[handBackAcked+4*(1-d):]),
		}
		s.Src, s.Dst = [16]byte(h[handBackClient:]), [16]byte(h[handBackServer:])
		s.SrcPort, s.DstPort = binary.BigEndian.Uint16(h[handBackClientPort:]), binary.BigEndian.Uint16(h[handBackServerPort:])
		if d == 1 {
			s.Src, s.Dst, s.SrcPort, s.DstPort = s.Dst, s.Src, s.DstPort, s.SrcPort
		}
		if s.Version = 6; isMapped(&s.Src) {
			s.Version = 4
		}
		start := len(w.made)
		w.made = s.Append(w.made)
		p.Data = w.made[start:len(w.made):len(w.made)]
		p.Passed = w.passage(dataplane.Passage{Next: s.Seq})
		b.Packets = append(b.Packets, p)
		rest.Packets[d]-- // this one stands for it
		rest.Octets[d] -= min(rest.Octets[d], uint64(len(p.Data)))
	}
	if first < len(b.Packets) {
		before := b.Packets[first].Passed
		before.Packets, before.Octets = rest.Packets, rest.Octets
	}
}

// isMapped says that an address is one of IPv4 (RFC 4291 section 2.5.5.2).
func isMapped(a *[16]byte) bool {
	return [12]byte(a[:]) == [12]byte{10: 0xff, 11: 0xff}
}

// tails are what the program says stands behind a text.
var tails = [4]dataplane.Tail{bpf.FollowTailTAIL_NONE: dataplane.TailNone, bpf.FollowTailTAIL_CR: dataplane.TailCR, bpf.FollowTailTAIL_END: dataplane.TailEnd}

// headers returns the headers of a packet as those of one without octets. Its IP header has not
// the checksum of that.
func (w *Worker) headers(h []byte) []byte {
	start := len(w.made)
	w.made = append(w.made, h...)
	h = w.made[start:len(w.made):len(w.made)]
	if h[0]>>4 == 4 {
		binary.BigEndian.PutUint16(h[2:], uint16(len(h))) // total length, RFC 791 section 3.1
	} else {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)-40)) // payload length, RFC 8200 section 3
	}
	return h
}
