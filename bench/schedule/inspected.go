package main

import (
	"net/netip"
	"sync"

	"keepword/inspect"
	"keepword/inspect/verdict"
)

// inspected keeps what inspection has read of both sides' octets, of each flow of a
// client's port in the order of their beginnings. It is inspection's tap and sink.
type inspected struct {
	mu    sync.Mutex
	flows map[uint16][]*readFlow
}

// readFlow is one flow as inspection sees it.
type readFlow struct {
	id       uint64
	streams  [2]readStream // by the side that says them
	findings []string
	// mayEnd says that a finding asked for the connection to be ended, or for a command
	// to be refused, which ends it where the command has left.
	mayEnd bool
}

// readStream is one direction of a flow.
type readStream struct {
	octets []byte
	edits  []edit
}

// edit is an edit of inspection: octets, and their place in the stream.
type edit struct {
	at     int
	octets []byte
}

// overlaid returns octets of the stream with the edits laid over them.
func (s *readStream) overlaid(octets []byte) []byte {
	b := append([]byte(nil), octets...)
	for _, e := range s.edits {
		if e.at < len(b) {
			copy(b[e.at:], e.octets)
		}
	}
	return b
}

// flow returns a flow, which begins with its first octet or finding.
func (r *inspected) flow(port uint16, id uint64) *readFlow {
	for _, f := range r.flows[port] {
		if f.id == id {
			return f
		}
	}
	f := &readFlow{id: id}
	r.flows[port] = append(r.flows[port], f)
	return f
}

// sideOf returns who says the octets of a direction.
func sideOf(toServer bool) Side {
	if toServer {
		return ClientSide
	}
	return ServerSide
}

// Inspected takes what was inspected.
func (r *inspected) Inspected(flow inspect.Endpoints, toServer bool, octets []byte) {
	r.octets(flow.Client.Port(), flow.ID, sideOf(toServer), octets)
}

// Edited takes an edit.
func (r *inspected) Edited(flow inspect.Endpoints, toServer bool, at uint32, octets []byte) {
	r.edit(flow.Client.Port(), flow.ID, sideOf(toServer), int(at), octets)
}

// octets takes octets of a side that were inspected in this order.
func (r *inspected) octets(port uint16, id uint64, side Side, octets []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.flow(port, id).streams[side]
	s.octets = append(s.octets, octets...)
}

// edit takes octets that are laid over a side's stream from at on.
func (r *inspected) edit(port uint16, id uint64, side Side, at int, octets []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.flow(port, id).streams[side]
	s.edits = append(s.edits, edit{at, append([]byte(nil), octets...)})
}

// Finding keeps a finding, for the account of a violation.
func (r *inspected) Finding(f *inspect.FindingRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	flow := r.flow(f.Flow.Client.Port(), f.Flow.ID)
	flow.findings = append(flow.findings, f.Finding.String()+" "+f.Action.String())
	flow.mayEnd = flow.mayEnd || f.Action == verdict.Kill || f.Action == verdict.Refuse
}

// FlowEnd keeps how a flow was lost sight of, for the same purpose.
func (r *inspected) FlowEnd(f *inspect.FlowRecord) {
	if !f.Bypassed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	flow := r.flow(f.Flow.Client.Port(), f.Flow.ID)
	flow.findings = append(flow.findings, "bypassed")
}

// finish returns what was read of a port's flows, and forgets it.
func (r *inspected) finish(client netip.AddrPort) []*readFlow {
	r.mu.Lock()
	defer r.mu.Unlock()
	flows := r.flows[client.Port()]
	delete(r.flows, client.Port())
	return flows
}
