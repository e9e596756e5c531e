// Package dataplane is the contract between what brings packets (netfilter queue,
// capture file) and what decides on them.
//
// Data goes one way: an engine fills a Batch, the Inspector decides every packet
// of it, the engine carries the verdicts out. One worker owns one engine, one
// Inspector and one Batch; nothing in it is shared and nothing is locked.
package dataplane

import (
	"keepword/inspect/verdict"
)

// Packet is one IP packet as an engine hands it to an Inspector.
type Packet struct {
	// ID is the engine's name for the packet (NFQA_PACKET_HDR's packet_id). It is
	// unique among the packets that wait for a verdict in one queue.
	ID uint32
	// Time is when the packet was seen, in nanoseconds of the Unix epoch. Engines
	// that have no time for each packet give the batch's.
	Time int64
	// Data is the packet from its IP header on. It is lent: the Inspector may read
	// and edit it until Inspect returns, and must copy what it keeps. After Inspect
	// an engine reads it only where Verdict is Replace.
	Data []byte
	// Iface is the index of the interface that the packet came in by; where it
	// started on this host, of the one that it leaves by; 0 where unknown.
	Iface uint32
	// ChecksumPartial says that the transport checksum is not filled in yet
	// (NFQA_SKB_CSUMNOTREADY, or a capture from a host that offloads it), so that
	// it can't be verified. A Replace must all the same carry a right one.
	ChecksumPartial bool
	// Verdict is set by the Inspector, for every packet of the batch.
	Verdict verdict.Kind
}

// Release is the late verdict on a packet that was left at Hold, in an earlier batch or
// in this one.
type Release struct {
	ID uint32
	// Verdict is Accept, Replace or Drop.
	Verdict verdict.Kind
	// Data are the packet's octets where Verdict is Replace. They are lent by the
	// Inspector until the next call of Inspect.
	Data []byte
}

// Batch is what one wake-up brings up and what inspection sends down.
type Batch struct {
	// Now is the time of the wake-up in nanoseconds of the Unix epoch. Inspection
	// has no other clock.
	Now int64
	// Packets are in the order of their arrival. The Inspector decides each.
	Packets []Packet
	// Released are the verdicts on held packets: those of earlier batches, and those of
	// Packets that this batch left at Hold and then let go. The engine empties it before
	// Inspect and carries it out before the verdicts of Packets, in order. A held packet must never be decided by a batch verdict that was
	// meant for others (NFQNL_MSG_VERDICT_BATCH decides every id up to its own).
	Released []Release
	// Injected are whole IP packets to be sent besides, checksums right: the 421 and
	// the RSTs that end a connection. The engine empties it before Inspect and sends
	// it after all verdicts, in order, marked so that they are not queued again.
	// They are lent by the Inspector until the next call of Inspect.
	Injected [][]byte
}

// Reset empties b for the next wake-up, and keeps its memory.
func (b *Batch) Reset(now int64) {
	b.Now = now
	b.Packets = b.Packets[:0]
	b.Released = b.Released[:0]
	b.Injected = b.Injected[:0]
}

// Inspector decides packets. It is driven by one goroutine.
type Inspector interface {
	// Inspect decides every packet of b: afterwards none has the verdict None. It
	// appends to b.Released and b.Injected. It is also the Inspector's clock: an
	// engine calls it with no packets when none came for TickInterval.
	Inspect(b *Batch)
}

// TickInterval is the longest time in nanoseconds that an engine lets pass between
// two calls of Inspect, so that timers run without traffic.
const TickInterval = 50_000_000
