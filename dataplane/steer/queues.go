package steer

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// MaxQueues is how many queues flows are spread over at most: the number of slots, a
// power of two. Further queues stay idle. The spread is even where the number of queues
// divides it.
const MaxQueues = 64

// slotMask are the bits of a port that say its slot.
const slotMask = (MaxQueues - 1) << 1

// QueueOf returns which of the queues, counted from 0, a flow's packets come to. The
// kernel program that works beside the table knows the same function.
//
// The client's port is the source port of a packet to an inspected port, else the
// destination port. Its lowest bit is left out, as Linux takes ephemeral ports of one
// parity first. Where both ports are inspected ones, neither end is the client: then it
// is the first queue, whatever this function returns.
func QueueOf(clientPort, queues uint16) uint16 {
	return clientPort & slotMask >> 1 % min(queues, MaxQueues)
}

// queueChain returns the name of the chain that sends to the n-th queue, counted from 0.
func (c *Config) queueChain(n uint16) string {
	return "queue-" + strconv.Itoa(int(c.FirstQueue)+int(n))
}

// slotMap is the map from a client's masked port to the chain of its queue. Its name
// tells its contents: another one never takes the place of a map that a packet may be
// looking at, as elements, unlike rules, change for packets on their way too.
func slotMap(table *nftables.Table, cfg *Config) *nftables.Set {
	return &nftables.Set{
		Table: table, Name: fmt.Sprintf("slots-%d-%d", cfg.FirstQueue, cfg.Queues),
		KeyType: nftables.TypeInetService, IsMap: true, DataType: nftables.TypeVerdict,
		Size: MaxQueues, // known beforehand, a cheaper kind of hash table will do
	}
}

// slots are the elements of slotMap.
func (c *Config) slots() (elements []nftables.SetElement) {
	for slot := range uint16(MaxQueues) {
		port := slot << 1
		elements = append(elements, nftables.SetElement{
			Key:         binary.BigEndian.AppendUint16(nil, port),
			VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: c.queueChain(QueueOf(port, c.Queues))},
		})
	}
	return elements
}

// bySlot is `tcp sport & 126 vmap @slots`, or with dport, and no match for a source port
// in ports.
func bySlot(offset uint32, ports, slots *nftables.Set) (rule []expr.Any) {
	if offset == sourcePort {
		rule = append(rule, loadPort(sourcePort), &expr.Lookup{SourceRegister: reg, SetName: ports.Name, SetID: ports.ID, Invert: true})
	}
	return append(rule,
		loadPort(offset),
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 2, Mask: binary.BigEndian.AppendUint16(nil, slotMask), Xor: make([]byte, 2)},
		&expr.Lookup{SourceRegister: reg, IsDestRegSet: true, DestRegister: unix.NFT_REG_VERDICT, SetName: slots.Name, SetID: slots.ID},
	)
}

// queue is `queue flags bypass to N`.
func queue(number uint16, bypass, native bool) expr.Any {
	if native {
		var flags expr.QueueFlag
		if bypass {
			flags = expr.QueueFlagBypass
		}
		return &expr.Queue{Num: number, Total: 1, Flag: flags}
	}
	info := xt.Unknown(nfqueueInfo(number, bypass))
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// nfqueueInfo is struct xt_NFQ_info_v3 of linux/netfilter/xt_NFQUEUE.h, padded as
// XT_ALIGN does: three numbers of 16 bits in the host's order.
func nfqueueInfo(number uint16, bypass bool) []byte {
	const (
		size       = 8
		flagBypass = 1 // NFQ_FLAG_BYPASS
	)
	info := make([]byte, size)
	binary.NativeEndian.PutUint16(info[0:], number)
	binary.NativeEndian.PutUint16(info[2:], 1)
	if bypass {
		binary.NativeEndian.PutUint16(info[4:], flagBypass)
	}
	return info
}

// queuesOf returns the first queue and the number of queues that queue, in this version
// or an older one, has written into e, and no queue for another expression.
func queuesOf(e expr.Any) (first, count uint16) {
	switch e := e.(type) {
	case *expr.Queue:
		return e.Num, e.Total
	case *expr.Target:
		if info, ok := e.Info.(*xt.Unknown); ok && e.Name == "NFQUEUE" && len(*info) >= 4 {
			return binary.NativeEndian.Uint16((*info)[0:]), binary.NativeEndian.Uint16((*info)[2:])
		}
	}
	return 0, 0
}
