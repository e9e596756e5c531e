package nfqueue

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
)

// Netlink's headers are in the byte order of the host, what netfilter puts into
// attributes in that of the network.
var (
	host    = binary.NativeEndian
	network = binary.BigEndian
)

// Layout of a netlink message (linux/netlink.h) and of netfilter's part of it
// (linux/netfilter/nfnetlink.h).
const (
	headerLen    = 16 // struct nlmsghdr: length, type, flags, sequence number, port id
	genLen       = 4  // struct nfgenmsg: family, version, queue number
	attrLen      = 4  // struct nlattr: length, type
	attrTypeMask = 0x3fff
)

// Types of messages and attributes (linux/netfilter/nfnetlink_queue.h).
const (
	typePacket       = unix.NFNL_SUBSYS_QUEUE << 8   // NFQNL_MSG_PACKET is 0
	typeVerdict      = unix.NFNL_SUBSYS_QUEUE<<8 | 1 // NFQNL_MSG_VERDICT
	typeConfig       = unix.NFNL_SUBSYS_QUEUE<<8 | 2 // NFQNL_MSG_CONFIG
	typeVerdictBatch = unix.NFNL_SUBSYS_QUEUE<<8 | 3 // NFQNL_MSG_VERDICT_BATCH

	attrPacketHdr  = 1  // NFQA_PACKET_HDR: packet id, protocol, hook
	attrVerdictHdr = 2  // NFQA_VERDICT_HDR: verdict, packet id
	attrMark       = 3  // NFQA_MARK
	attrTimestamp  = 4  // NFQA_TIMESTAMP: seconds, microseconds, 64 bits each
	attrInDev      = 5  // NFQA_IFINDEX_INDEV
	attrOutDev     = 6  // NFQA_IFINDEX_OUTDEV
	attrPayload    = 10 // NFQA_PAYLOAD
	attrCapLen     = 13 // NFQA_CAP_LEN: the packet's length, where it was cut
	attrSkbInfo    = 14 // NFQA_SKB_INFO: flags

	packetHdrLen = 7 // struct nfqnl_msg_packet_hdr is packed
)

// csumNotReady is a flag of NFQA_SKB_INFO (NFQA_SKB_CSUMNOTREADY).
const csumNotReady = 1 << 0

// align rounds a length up to where the next message or attribute begins (NLMSG_ALIGN,
// NLA_ALIGN).
func align(n int) int { return (n + 3) &^ 3 }

// message is one netlink message. Its body is lent by the receive buffer.
type message struct {
	kind uint16
	body []byte
	// whole is false where the message is shorter than it says.
	whole bool
}

// nextMessage takes the first message off what was received, and returns false when
// there is none left.
func nextMessage(datagram []byte) (m message, rest []byte, ok bool) {
	if len(datagram) < headerLen {
		return message{}, nil, false
	}
	length := int(host.Uint32(datagram))
	m = message{kind: host.Uint16(datagram[4:]), body: datagram[headerLen:]}
	if length < headerLen || length > len(datagram) {
		return m, nil, true
	}
	m.body, m.whole = datagram[headerLen:length], true
	return m, datagram[min(align(length), len(datagram)):], true
}

// errno returns the error that an NLMSG_ERROR carries, 0 for an acknowledgement, and
// false where there is none in it.
func (m *message) errno() (unix.Errno, bool) {
	if len(m.body) < 4 {
		return 0, false
	}
	return unix.Errno(-int32(host.Uint32(m.body))), true
}

// reading says how much could be read of a message about a packet.
type reading uint8

const (
	// readAll: everything.
	readAll reading = iota
	// readCut: everything, but the packet was longer than an attribute can be.
	readCut
	// readID: only which packet is meant; the message is malformed.
	readID
	// readNothing: not even that.
	readNothing
)

// packet reads a message of type typePacket into p, all of which it overwrites. The
// octets stay where they are.
func (m *message) packet(queue uint16, p *dataplane.Packet) reading {
	*p = dataplane.Packet{}
	if len(m.body) < genLen || m.body[1] != unix.NFNETLINK_V0 || network.Uint16(m.body[2:]) != queue {
		return readNothing
	}
	malformed, result := readNothing, readAll
	var inDev, outDev uint32
	for rest := m.body[genLen:]; len(rest) > 0; {
		if len(rest) < attrLen {
			return malformed
		}
		length := int(host.Uint16(rest))
		if length < attrLen || length > len(rest) {
			return malformed
		}
		kind, value := host.Uint16(rest[2:])&attrTypeMask, rest[attrLen:length]
		rest = rest[min(align(length), len(rest)):]
		if len(value) < shortest(kind) {
			return malformed
		}
		switch kind {
		case attrPacketHdr:
			p.ID, malformed = network.Uint32(value), readID
		case attrMark:
			p.Mark = network.Uint32(value)
		case attrTimestamp:
			p.Time = int64(network.Uint64(value))*int64(time.Second) + int64(network.Uint64(value[8:]))*int64(time.Microsecond)
		case attrInDev:
			inDev = network.Uint32(value)
		case attrOutDev:
			outDev = network.Uint32(value)
		case attrPayload:
			p.Data = value
		case attrCapLen:
			result = readCut
		case attrSkbInfo:
			p.ChecksumPartial = network.Uint32(value)&csumNotReady != 0
		}
	}
	if p.Iface = inDev; inDev == 0 {
		p.Iface = outDev
	}
	if malformed == readNothing || !m.whole {
		return malformed
	}
	return result
}

// shortest is the least length in octets of an attribute's value.
func shortest(kind uint16) int {
	switch kind {
	case attrPacketHdr:
		return packetHdrLen
	case attrTimestamp:
		return 16
	case attrMark, attrInDev, attrOutDev, attrCapLen, attrSkbInfo:
		return 4
	}
	return 0
}
