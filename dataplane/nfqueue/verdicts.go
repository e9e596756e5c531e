package nfqueue

import (
	"golang.org/x/sys/unix"

	"keepword/inspect/verdict"
)

// The kernel's verdicts (linux/netfilter.h).
const (
	nfDrop   = 0 // NF_DROP
	nfAccept = 1 // NF_ACCEPT
)

// Octets that a verdict takes in a message.
const (
	verdictHdrLen = 8 // struct nfqnl_msg_verdict_hdr
	verdictLen    = headerLen + genLen + attrLen + verdictHdrLen
	markLen       = attrLen + 4
	// longestHead is all of a verdict but the packet's octets and what aligns them.
	longestHead = verdictLen + markLen + attrLen
)

const (
	// maxPayload is the longest value of a netlink attribute, aligned: its length has
	// 16 bits (NFQNL_MAX_COPY_RANGE is the same for packets on their way up).
	maxPayload = 0xffff - attrLen
	// maxMessages bounds what is sent at once: a batch's verdicts and three times as
	// many on held packets.
	maxMessages = 4 * batchLimit
)

// decision is what becomes of one packet that waits in the kernel.
type decision struct {
	id uint32
	// kind is Accept, Replace or Drop, or None, which drops too.
	kind verdict.Kind
	// data is the packet's new octets where kind is Replace.
	data []byte
	// mark is the packet's new mark where marked is set.
	mark   uint32
	marked bool
	// single is set where packets before this one may wait that are not known to.
	single bool
}

// verdicts is what is sent to the kernel at once: netlink messages one behind the other,
// as pieces that are sent as if they were joined. The octets of a replaced packet are a
// piece of their own, where they lie.
//
// Each message has the packet's id as its sequence number. None asks for an
// acknowledgement, so that only those are answered that fail.
type verdicts struct {
	queue uint16
	// limit is how many octets the socket takes at once.
	limit int

	head   []byte   // all messages but the octets of packets; never grows beyond its capacity
	joined int      // how much of head is in pieces
	pieces [][]byte // of head and of packets, alternating
	octets int      // of packets, in pieces

	messages int
	ids      []uint32             // of all that is decided
	kinds    [verdictKinds]uint64 // how many of each kind

	// run is how many plain acceptances are yet to be written, the last of which is
	// runEnd: of adjacent packets, before which nothing waits.
	run    int
	runEnd uint32
}

func newVerdicts(queue uint16, limit int) *verdicts {
	return &verdicts{
		queue:  queue,
		limit:  limit,
		head:   make([]byte, 0, maxMessages*align(longestHead+3)),
		pieces: make([][]byte, 0, 2*maxMessages+1),
		ids:    make([]uint32, 0, maxMessages+batchLimit),
	}
}

// room says whether d fits in beside what is there.
func (v *verdicts) room(d *decision) bool {
	if len(v.ids) == 0 {
		return true // it must, for more room there is never
	}
	// A run ends before d, and what aligns it.
	const others = verdictLen + 3
	return v.messages+2 <= maxMessages && len(v.ids) < cap(v.ids) &&
		len(v.head)+v.octets+others+longestHead+len(d.data) <= v.limit
}

// accept adds a plain acceptance of a packet which, with all before it that are not yet
// decided, may be accepted by a batch verdict.
func (v *verdicts) accept(id uint32) {
	v.run++
	v.runEnd = id
	v.count(id, verdict.Accept)
}

// add adds a verdict for one packet.
func (v *verdicts) add(d *decision) {
	v.endRun()
	v.write(typeVerdict, d)
	v.count(d.id, d.kind)
}

func (v *verdicts) count(id uint32, kind verdict.Kind) {
	v.ids = append(v.ids, id)
	v.kinds[kind]++
}

// endRun writes the run, if there is one. That of a single packet is a verdict like any
// other: should the packet be gone, the kernel says so.
func (v *verdicts) endRun() {
	if v.run == 0 {
		return
	}
	kind := uint16(typeVerdictBatch)
	if v.run == 1 {
		kind = typeVerdict
	}
	v.write(kind, &decision{id: v.runEnd, kind: verdict.Accept})
	v.run = 0
}

// write appends one message.
func (v *verdicts) write(kind uint16, d *decision) {
	v.messages++
	length := verdictLen
	if d.marked {
		length += markLen
	}
	if d.kind == verdict.Replace {
		length += attrLen + len(d.data)
	}
	action := uint32(nfDrop)
	if d.kind == verdict.Accept || d.kind == verdict.Replace {
		action = nfAccept
	}
	b := v.head
	b = appendHeader(b, kind, unix.NLM_F_REQUEST, length, d.id, v.queue)
	b = appendAttr(b, attrVerdictHdr, verdictHdrLen)
	b = network.AppendUint32(b, action)
	b = network.AppendUint32(b, d.id)
	if d.marked {
		b = appendAttr(b, attrMark, 4)
		b = network.AppendUint32(b, d.mark)
	}
	if d.kind == verdict.Replace {
		b = appendAttr(b, attrPayload, len(d.data))
		v.pieces = append(v.pieces, b[v.joined:], d.data)
		v.joined = len(b)
		v.octets += len(d.data)
		b = append(b, "\x00\x00\x00"[:align(length)-length]...)
	}
	v.head = b
}

// finish returns what is to be sent, which is nothing where nothing was added. It is
// valid until reset.
func (v *verdicts) finish() [][]byte {
	v.endRun()
	if len(v.head) > v.joined {
		v.pieces = append(v.pieces, v.head[v.joined:])
		v.joined = len(v.head)
	}
	return v.pieces
}

// reset empties v.
func (v *verdicts) reset() {
	v.head, v.joined = v.head[:0], 0
	v.pieces, v.octets = v.pieces[:0], 0
	v.ids, v.messages, v.run = v.ids[:0], 0, 0
	v.kinds = [verdictKinds]uint64{}
}

// appendHeader appends a struct nlmsghdr and a struct nfgenmsg.
func appendHeader(b []byte, kind, flags uint16, length int, seq uint32, queue uint16) []byte {
	b = host.AppendUint32(b, uint32(length))
	b = host.AppendUint16(b, kind)
	b = host.AppendUint16(b, flags)
	b = host.AppendUint32(b, seq)
	b = host.AppendUint32(b, 0) // port id: the kernel
	b = append(b, unix.AF_UNSPEC, unix.NFNETLINK_V0)
	return network.AppendUint16(b, queue)
}

// appendAttr appends the header of an attribute whose value has that length.
func appendAttr(b []byte, kind uint16, length int) []byte {
	b = host.AppendUint16(b, uint16(attrLen+length))
	return host.AppendUint16(b, kind)
}
