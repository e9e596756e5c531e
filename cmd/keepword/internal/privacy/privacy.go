// Package privacy keeps what names a client out of what is told of its sessions: only the
// network stays of its address, and the name that it gives itself goes.
//
// The server keeps its address. It is what an administrator needs to have a broken promise
// mended, and seldom a person's.
package privacy

import (
	"net/netip"

	"keepword/inspect"
)

// The prefixes that stay of a client's address, in bits: what a provider assigns to one
// customer is longer.
const (
	prefix4 = 24
	prefix6 = 48
)

// Sink returns a Sink that gives next what it gets, less what names the client. As any Sink
// it is for one goroutine. Nothing is allocated for a record.
func Sink(next inspect.Sink) inspect.Sink { return &sink{next: next} }

type sink struct {
	next    inspect.Sink
	finding inspect.FindingRecord // the record at hand
	flow    inspect.FlowRecord    // likewise
}

// Finding hands on r. What it quotes of the dialogue stays.
func (s *sink) Finding(r *inspect.FindingRecord) {
	s.finding = *r
	s.finding.Flow.Client = network(r.Flow.Client)
	s.next.Finding(&s.finding)
}

// FlowEnd hands on r.
func (s *sink) FlowEnd(r *inspect.FlowRecord) {
	s.flow = *r
	s.flow.Flow.Client, s.flow.HELO = network(r.Flow.Client), ""
	s.next.FlowEnd(&s.flow)
}

// network returns c with the bits behind the network's set to 0.
func network(c netip.AddrPort) netip.AddrPort {
	a := c.Addr().Unmap()
	bits := prefix6
	if a.Is4() {
		bits = prefix4
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.AddrPort{} // no address, which no packet has
	}
	return netip.AddrPortFrom(p.Addr(), c.Port())
}
