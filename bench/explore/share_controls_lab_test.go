//go:build lab

package main

import (
	"bytes"
	"slices"
	"testing"

	"keepword/bench/follow"
	"keepword/dataplane"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// bent is an Inspector that gets another log than the program has written.
type bent struct {
	dataplane.Inspector
	change func(log []dataplane.Packet) []dataplane.Packet
}

// bendLog has inspection read what change makes of each part of the log.
func bendLog(change func(log []dataplane.Packet) []dataplane.Packet) func(*follow.Gateway) {
	return func(g *follow.Gateway) { g.Witness.Inspector = &bent{g.Witness.Inspector, change} }
}

// Inspect is dataplane.Inspector's.
func (i *bent) Inspect(b *dataplane.Batch) {
	log := b.Packets
	if len(log) == 0 || log[0].Passed == nil {
		i.Inspector.Inspect(b)
		return
	}
	b.Packets = i.change(log)
	i.Inspector.Inspect(b)
	for n := range log {
		log[n].Verdict = verdict.Accept
	}
	for _, p := range b.Packets {
		if p.Verdict != verdict.Accept {
			log[0].Verdict = p.Verdict
		}
	}
	b.Packets = log
}

// without returns a log but for the records that carry some octets.
func without(octets string) func(log []dataplane.Packet) []dataplane.Packet {
	return func(log []dataplane.Packet) []dataplane.Packet {
		return slices.DeleteFunc(slices.Clone(log), func(p dataplane.Packet) bool { return bytes.HasSuffix(p.Data, []byte(octets)) })
	}
}

// oneBehind returns each part of a log in the place of the next.
func oneBehind() func(log []dataplane.Packet) []dataplane.Packet {
	var kept []dataplane.Packet
	return func(log []dataplane.Packet) []dataplane.Packet {
		before := kept
		kept = slices.Clone(log)
		for i := range kept {
			kept[i].Data = bytes.Clone(kept[i].Data)
		}
		return before
	}
}

// exempting has packets go on that come up, and carry these octets.
func exempting(octets string) func(*follow.Gateway) {
	return func(g *follow.Gateway) {
		decide := g.Decide
		g.Decide = func(pkt []byte) (passed bool, out []byte, err error) {
			passed, out, err = decide(pkt)
			var v packet.View
			packet.Parse(pkt, &v)
			return passed || string(v.Payload) == octets, out, err
		}
	}
}

// generous is an Inspector that grants the server whatever is to be done with it.
type generous struct{ dataplane.Inspector }

// Inspect is dataplane.Inspector's.
func (g generous) Inspect(b *dataplane.Batch) {
	g.Inspector.Inspect(b)
	b.Grants = append(b.Grants, dataplane.Grant{Kind: dataplane.GrantServer, Server: serverAddr})
}

// sharedControls are failing ones: a kernel, or an inspection beside it, that does something wrong.
var sharedControls = []control{
	{"any answer to STARTTLS goes by itself", T3, scene{share: &share{known: true, bend: exempting("250 OK\r\n")}}, 1},
	{"any answer to STARTTLS goes by itself, to the deadlock", NoDeadlock, scene{share: &share{known: true, bend: exempting("250 OK\r\n")}}, 1},
	{"a command behind STARTTLS goes by itself", T3, scene{share: &share{known: true, bend: exempting(startTLS + "NOOP\r\n")}}, 1},
	{"a record of the log is lost", T3, scene{share: &share{known: true, bend: bendLog(without(startTLS))}}, 1},
	{"what comes up is inspected before the log", T3, scene{share: &share{known: true, reads: readLate, bend: func(g *follow.Gateway) {
		bendLog(oneBehind())(g)
	}}}, 1},
	{"a server is known whose offer is hidden", OneMind, scene{policy: hide, share: &share{bend: func(g *follow.Gateway) {
		g.Witness.Inspector = generous{g.Witness.Inspector}
	}}}, 0},
}

func TestEachTruthThatTheKernelBreaksOnPurposeIsFoundToFall(t *testing.T) {
	programs := lend(t)
	for _, c := range sharedControls {
		t.Run(c.name, func(t *testing.T) {
			c.scene.share.programs = programs
			r := explore(c.scene, c.depth, func(r *result) bool { return r.fallen[c.breaks] > 0 })
			if r.fallen[c.breaks] == 0 {
				t.Fatalf("%v did not fall in %d runs, but %v", c.breaks, r.executions, r.falls)
			}
		})
	}
}
