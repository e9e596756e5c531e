// Package dataplane is the contract between what brings packets (netfilter queue,
// capture file) and what decides on them.
//
// Data goes one way: an engine fills a Batch, the Inspector decides every packet
// of it, the engine carries the verdicts out. One worker owns one engine, one
// Inspector and one Batch; nothing in it is shared and nothing is locked.
package dataplane

import (
	"net/netip"
	"sync/atomic"

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
	// Passed is not nil where the kernel's follower has let the packet through already (see
	// Follower). The Inspector reads it like any other; Verdict says what it would have
	// decided, and the engine carries nothing out. Its Data must not be written to. It is
	// lent as Data is.
	Passed *Passage
	// Mark is the packet's mark in the kernel.
	Mark uint32
	// Verdict is set by the Inspector, for every packet of the batch.
	Verdict verdict.Kind
	// Exempt is set by the Inspector beside Accept where nothing of the connection need
	// come up any more: an engine that was told to marks the packet, so that a rule can
	// mark its connection. It is false when the Inspector gets the packet.
	Exempt bool
}

// Text is mail data that the follower has read, and keeps in a Ring: lines of text that end with
// CRLF and are at most 1,000 octets long (RFC 5321 §4.5.3.1.6), without a NUL, another CR or LF,
// or a line that begins with one dot.
type Text struct {
	// Octets is how many they are; the first has the packet's sequence number. With Tail none
	// too there is no Text.
	Octets uint32
	// Ring is the index of where they lie.
	Ring int
	// Line is how many octets, without a dot put before it (RFC 5321 §4.5.2), the line has so
	// far that they end in; 0: they end with CRLF.
	Line int
	// Tail stands behind them, and nobody has read it.
	Tail Tail
}

// Len returns the octets of the text and of its tail.
func (t *Text) Len() int { return int(t.Octets) + len(t.Tail.Octets()) }

// Tail is what may stand behind lines of text.
type Tail uint8

const (
	TailNone Tail = iota
	TailCR        // perhaps of a CRLF
	TailEnd       // of mail data, behind a CRLF
)

// Octets returns what the tail is.
func (t Tail) Octets() string {
	switch t {
	case TailCR:
		return "\r"
	case TailEnd:
		return ".\r\n"
	}
	return ""
}

// Ring is memory that a Follower and an Inspector share: what the one lets through of a
// connection, and the other compares retransmissions with.
type Ring struct {
	// Octets are a power of two; octet s lies at s modulo their number.
	Octets []byte
	// Taken is 1 as long as a connection has it. Both may take it; the Inspector gives it
	// back.
	Taken *atomic.Uint32
}

// Passage is what the follower says of a packet that it has let through, and of those of the
// connection before it that it let through without a word: in TLS everything but its end, else
// bare acknowledgements.
type Passage struct {
	// Packets and Octets count IP packets to the server and to the client, between the
	// connection's last logged packet and this one.
	Packets [2]uint32
	Octets  [2]uint64
	// Followed says that the dialogue was the kernel's to follow, Exempt that all of it was let
	// through. With neither the packet is one that goes by beside what comes up.
	Followed, Exempt bool
	// Next is the sequence number of the next octet of the packet's direction, where Followed
	// or Exempt is set; with Followed, Acked is up to where its receiver has acknowledged them.
	Next, Acked uint32
	// Text is what the packet had behind the headers, which are all that its Data has then.
	Text Text
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
	// Grants are what the kernel may do by itself from now on. The engine empties it before
	// Inspect, and hands it to the Follower after all verdicts; without one it ignores it.
	Grants []Grant
}

// GrantKind is what a Grant allows.
type GrantKind uint8

const (
	// GrantFollow: the client may send a command, or is in the middle of a line of mail data.
	// The kernel may let through what is surely harmless, and log it.
	GrantFollow GrantKind = iota
	// GrantPass: both ends are in TLS, or nothing is read for another reason. The kernel lets
	// all pass but what opens or ends a connection.
	GrantPass
	// GrantForget: the connection is over, or nothing is known of it any more.
	GrantForget
	// GrantServer: dialogues with Server may be followed from their greeting on.
	GrantServer
	// GrantNoServer takes GrantServer back, for the sessions to come.
	GrantNoServer
	// GrantNothing takes back all of GrantFollow and GrantServer.
	GrantNothing
)

// Grant is one permission of inspection for the kernel.
type Grant struct {
	Kind GrantKind
	// Client and Server are the connection's ends, IPv4 addresses as plain ones. For
	// GrantServer and GrantNoServer only Server is meant.
	Client, Server netip.AddrPort
	// Seen is how many packets of the connection have come up that the kernel had not let
	// through, modulo 2^16. While more were diverted, one is on its way, and the grant is void.
	Seen uint16
	// Next are the sequence numbers of the next octet to the server and to the client. All
	// octets before them have been inspected and given to their receivers.
	Next [2]uint32
	// Acked are up to where their receivers have acknowledged them.
	Acked [2]uint32
	// InText says that it is a line of mail data, and Line how many octets it has so far (see
	// Text).
	InText bool
	Line   int
	// Ring is one more than the index of the one that has what is kept of the direction to the
	// server; 0: none has it.
	Ring int
	// Scale are the window scales of the server's and the client's SYN (RFC 7323 §2.2), 0
	// without.
	Scale [2]uint8
}

// Follower is the kernel's own share: a program that lets packets through by itself while a
// connection does what is expected of it, and logs each. What it logs is inspected here in
// arrears, as if it had come up, before anything of the same connection that did come up.
type Follower interface {
	// Fill appends to b.Packets what was logged and not yet filled in, with Passed set, in
	// order, until b holds limit packets. It returns whether there is more. The octets are
	// lent until the next call.
	Fill(b *Batch, limit int) (more bool)
	// Grant puts grants in force, in order.
	Grant(grants []Grant)
	// FD is a file descriptor that polls readable when so much is logged that it should
	// not wait for the next tick.
	FD() int
}

// Reset empties b for the next wake-up, and keeps its memory.
func (b *Batch) Reset(now int64) {
	b.Now = now
	b.Packets = b.Packets[:0]
	b.Released = b.Released[:0]
	b.Injected = b.Injected[:0]
	b.Grants = b.Grants[:0]
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
