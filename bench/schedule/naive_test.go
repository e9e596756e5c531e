//go:build lab

package main

import (
	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// naive is an inspection as it is often written: it lets every packet through and puts
// the streams together beside them. The last octets seen win, checksums are not looked
// at, URG is not known, and whatever was sent is taken for received.
type naive struct {
	read  *inspected
	flows map[uint16]*naiveFlow // by the client's port
}

type naiveFlow struct {
	id     uint64
	next   uint32
	octets map[uint32]byte // by sequence number, not yet read
}

func newNaive(read *inspected) dataplane.Inspector {
	return &naive{read: read, flows: map[uint16]*naiveFlow{}}
}

func (n *naive) Inspect(b *dataplane.Batch) {
	for i := range b.Packets {
		b.Packets[i].Verdict = verdict.Accept
		var v packet.View
		if packet.Parse(b.Packets[i].Data, &v) == packet.OK && v.DstPort == smtpPort {
			n.segment(&v)
		}
	}
}

func (n *naive) segment(v *packet.View) {
	f := n.flows[v.SrcPort]
	if v.Flags.Has(packet.SYN) && f == nil {
		n.flows[v.SrcPort] = &naiveFlow{id: uint64(v.SrcPort), next: v.Seq + 1, octets: map[uint32]byte{}}
		return
	}
	if f == nil {
		return
	}
	for i, c := range v.Payload {
		f.octets[v.Seq+uint32(i)] = c
	}
	var line []byte
	for c, ok := f.octets[f.next]; ok; c, ok = f.octets[f.next] {
		line = append(line, c)
		delete(f.octets, f.next)
		f.next++
	}
	n.read.octets(v.SrcPort, f.id, line)
}
