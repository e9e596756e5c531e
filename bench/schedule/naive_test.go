//go:build lab

package main

import (
	"bytes"

	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// naive is an inspection as it is often written: it overwrites words where it sees them
// in a packet, lets every packet through, and puts the streams together beside them. The
// last octets seen win, checksums are not looked at, URG is not known, and whatever was
// sent is taken for received.
type naive struct {
	read  *inspected
	flows map[uint16]*[2]naiveStream // by the client's port
}

// naiveStream is what one side says.
type naiveStream struct {
	begun       bool
	first, next uint32
	octets      map[uint32]byte // by sequence number, not yet read
}

func newNaive(read *inspected) dataplane.Inspector {
	return &naive{read: read, flows: map[uint16]*[2]naiveStream{}}
}

// Inspect is dataplane.Inspector's.
func (n *naive) Inspect(b *dataplane.Batch) {
	for i := range b.Packets {
		pk := &b.Packets[i]
		pk.Verdict = verdict.Accept
		var v packet.View
		if packet.Parse(pk.Data, &v) == packet.OK && n.segment(&v, pk.ChecksumPartial || v.ChecksumOK()) {
			v.SetChecksums()
			pk.Verdict = verdict.Replace
		}
	}
}

// segment takes a segment, and says whether it has overwritten a word: it does in those
// that are intact, so that it mends no checksum.
func (n *naive) segment(v *packet.View, intact bool) (edited bool) {
	side, port, server := ClientSide, v.SrcPort, v.DstPort
	if v.SrcPort < firstPort {
		side, port, server = ServerSide, v.DstPort, v.SrcPort
	}
	if n.flows[port] == nil {
		n.flows[port] = new([2]naiveStream)
	}
	s := &n.flows[port][side]
	if v.Flags.Has(packet.SYN) && !s.begun {
		*s = naiveStream{true, v.Seq + 1, v.Seq + 1, map[uint32]byte{}}
		return false
	}
	if !s.begun {
		return false
	}
	for _, w := range naiveWords[policyOf(server)] {
		if at := bytes.Index(v.Payload, []byte(w.word)); at >= 0 && intact {
			copy(v.Payload[at:], w.becomes)
			n.read.edit(port, uint64(port), side, int(v.Seq+uint32(at)-s.first), []byte(w.becomes))
			edited = true
		}
	}
	for i, c := range v.Payload {
		s.octets[v.Seq+uint32(i)] = c
	}
	var line []byte
	for c, ok := s.octets[s.next]; ok; c, ok = s.octets[s.next] {
		line = append(line, c)
		delete(s.octets, s.next)
		s.next++
	}
	n.read.octets(port, uint64(port), side, line)
	return edited
}

// naiveWords are what each policy overwrites.
var naiveWords = [policies][]struct{ word, becomes string }{
	Require: {{"MAIL FROM", "NOOP     "}, {"AUTH ", "NOOP "}},
	Hide:    {{"STARTTLS", "XXXXXXXX"}},
	Refuse:  {{"AUTH ", "NOOP "}},
}

// policyOf returns the policy of a server's port.
func policyOf(port uint16) Policy {
	for p := range policies {
		if port == p.port(ClientSide) || port == p.port(ServerSide) {
			return p
		}
	}
	return Auto
}
