package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

func TestACaptureHoldsWhatItSays(t *testing.T) {
	const wanted = 20_000_000
	file := filepath.Join(t.TempDir(), "capture.pcap")
	c, err := writeCapture(file, wanted)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != c.octets || c.octets < wanted {
		t.Errorf("the file has %d octets, it should have at least %d and is said to have %d", info.Size(), wanted, c.octets)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	type flow struct{ network, transport gopacket.Flow }
	next := map[flow]uint32{}
	var packets, syns, again, early, v6 int64
	open, most := 0, 0
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			break // the size was looked at above
		}
		p := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok {
			t.Fatalf("packet %d is no TCP: %v", packets, p)
		}
		packets++
		key := flow{p.NetworkLayer().NetworkFlow(), tcp.TransportFlow()}
		length := uint32(len(tcp.Payload))
		switch expected, known := next[key]; {
		case tcp.SYN:
			if known {
				t.Fatalf("two sessions have the ends %v", key)
			}
			next[key] = tcp.Seq + 1
			if !tcp.ACK {
				syns++
				open++
				most = max(most, open)
			}
			if p.NetworkLayer().LayerType() == layers.LayerTypeIPv6 {
				v6++
			}
		case int32(tcp.Seq-expected) < 0 && length > 0:
			again++
		case tcp.Seq != expected && length > 0:
			early++
		}
		if end := tcp.Seq + length; length > 0 && int32(end-next[key]) > 0 {
			next[key] = end
		}
		if tcp.FIN && bytes.Equal(key.transport.Dst().Raw(), []byte{0, serverPort}) {
			open--
		}
	}
	if packets != c.packets || syns != int64(c.sessions) {
		t.Errorf("%d packets and %d sessions were found, and said to be %d and %d", packets, syns, c.packets, c.sessions)
	}
	if again < packets/1000 || early < packets/1000 || v6 < syns/3 || most < atOnce*9/10 || c.secured < c.sessions/5 {
		t.Errorf("of %d packets %d came again and %d early; of %d sessions %d were IPv6, %d open at once, %d secured",
			packets, again, early, syns, v6/2, most, c.secured)
	}
}
