package main

import (
	"errors"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/reassembly"

	"keepword/dataplane"
)

// baseline is the reassembly of github.com/google/gopacket v1.1.19, what a Go program
// that wants TCP streams usually takes. It is used nowhere but here, to be compared
// with: it panics on hostile input (see bench/layout). This is its leanest use: layers
// that are decoded into memory made before, no checksum looked at, and a stream that is
// handed its octets and does nothing with them.
type baseline struct {
	ip        layers.IPv4
	tcp       layers.TCP
	payload   gopacket.Payload
	decoded   []gopacket.LayerType
	parser    *gopacket.DecodingLayerParser
	assembler *reassembly.Assembler
	context   packetContext
	// plain is its ordinary use instead, as in its examples: a Packet is made of each.
	plain  bool
	failed error
	// octets are those that streams were handed.
	octets uint64
}

func newBaseline() *baseline {
	b := &baseline{decoded: make([]gopacket.LayerType, 0, 3)}
	b.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4)
	b.parser.SetDecodingLayerContainer(gopacket.DecodingLayerArray(nil))
	for _, l := range []gopacket.DecodingLayer{&b.ip, &b.tcp, &b.payload} {
		b.parser.AddDecodingLayer(l)
	}
	b.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(b))
	return b
}

func (b *baseline) read(batch *dataplane.Batch) {
	if b.plain {
		b.readPlain(batch)
		return
	}
	for i := range batch.Packets {
		if err := b.parser.DecodeLayers(batch.Packets[i].Data, &b.decoded); err != nil {
			b.failed = err
			continue
		}
		b.assembler.AssembleWithContext(b.ip.NetworkFlow(), &b.tcp, &b.context)
	}
}

func (b *baseline) readPlain(batch *dataplane.Batch) {
	for i := range batch.Packets {
		p := gopacket.NewPacket(batch.Packets[i].Data, layers.LayerTypeIPv4, gopacket.Default)
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok {
			b.failed = errors.New("no TCP segment")
			continue
		}
		b.assembler.AssembleWithContext(p.NetworkLayer().NetworkFlow(), tcp, &packetContext{p.Metadata().CaptureInfo})
	}
}

// forget does nothing: a stream ends with its FINs.
func (b *baseline) forget(int64) {}

func (b *baseline) check(octets uint64) error {
	if b.failed != nil {
		return fmt.Errorf("gopacket did not decode the generated traffic: %w", b.failed)
	}
	if b.octets != octets {
		return fmt.Errorf("gopacket reassembled %d octets of %d", b.octets, octets)
	}
	return nil
}

// New makes a connection's stream: all of them share the baseline's, which keeps
// nothing of one.
func (b *baseline) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return b
}

// Accept takes every segment.
func (b *baseline) Accept(*layers.TCP, gopacket.CaptureInfo, reassembly.TCPFlowDirection, reassembly.Sequence, *bool, reassembly.AssemblerContext) bool {
	return true
}

// ReassembledSG takes octets in order.
func (b *baseline) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	b.octets += uint64(len(sg.Fetch(n)))
}

// ReassemblyComplete lets go of a connection that both ends closed.
func (b *baseline) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }

// packetContext is what the assembler asks of a packet's context: nothing of it is used.
type packetContext struct{ gopacket.CaptureInfo }

// GetCaptureInfo returns it.
func (c *packetContext) GetCaptureInfo() gopacket.CaptureInfo { return c.CaptureInfo }
