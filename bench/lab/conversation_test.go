package lab

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// segment is one packet of a capture made by writeCapture.
type segment struct {
	fromClient bool
	flags      string // S, A, R
	seq        uint32
	payload    string
}

// writeCapture writes a capture of one connection from port 40000 to port 25.
func writeCapture(t *testing.T, segments []segment) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(65600, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, s := range segments {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP,
			SrcIP: net.IPv4(192, 0, 2, 10), DstIP: net.IPv4(203, 0, 113, 25)}
		tcp := &layers.TCP{SrcPort: 40000, DstPort: 25, Seq: s.seq, Window: 1000}
		if !s.fromClient {
			ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
			tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
		}
		for _, flag := range s.flags {
			switch flag {
			case 'S':
				tcp.SYN = true
			case 'A':
				tcp.ACK = true
			case 'R':
				tcp.RST = true
			}
		}
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		buffer := gopacket.NewSerializeBuffer()
		err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4},
			ip, tcp, gopacket.Payload(s.payload))
		if err != nil {
			t.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(buffer.Bytes()), Length: len(buffer.Bytes())}
		if err := w.WritePacket(info, buffer.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestAConversationHasEveryOctetOnceAndInOrder(t *testing.T) {
	// The server's sequence numbers pass through zero.
	var c, s uint32 = 1000, 0xffff_fffa
	path := writeCapture(t, []segment{
		{true, "S", c, ""},
		{false, "SA", s, ""},
		{false, "A", s + 1, "220 "},
		{false, "A", s + 9, "\r\n"},   // early
		{false, "A", s + 1, "220 "},   // again
		{false, "A", s + 3, "0 text"}, // overlaps
		{true, "A", c + 1, "QUIT\r\n"},
		{false, "A", s + 11, "221\r\n"},
		{false, "R", s + 16, ""},
	})
	all, err := ReadConversations(path)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d conversations, error %v", len(all), err)
	}
	got := all[0]
	if got.Client.String() != "192.0.2.10:40000" || got.Server.String() != "203.0.113.25:25" || got.Resets != 1 {
		t.Errorf("from %s to %s, %d resets", got.Client, got.Server, got.Resets)
	}
	if sent := string(got.Sent(true)); sent != "QUIT\r\n" {
		t.Errorf("the client sent %q", sent)
	}
	if sent := string(got.Sent(false)); sent != "220 text\r\n221\r\n" {
		t.Errorf("the server sent %q", sent)
	}
	if len(got.Turns) != 3 || got.Turns[0].FromClient || !got.Turns[1].FromClient || got.Turns[0].Time.Unix() != 2 {
		t.Errorf("turns %+v", got.Turns)
	}
}

func TestAPortUsedAgainIsAnotherConversation(t *testing.T) {
	path := writeCapture(t, []segment{
		{true, "S", 1000, ""},
		{true, "S", 1000, ""}, // the same SYN again
		{true, "A", 1001, "one"},
		{true, "S", 9000, ""},
		{true, "A", 9001, "two"},
	})
	all, err := ReadConversations(path)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d conversations, error %v", len(all), err)
	}
	if one, two := string(all[0].Sent(true)), string(all[1].Sent(true)); one != "one" || two != "two" {
		t.Errorf("got %q and %q", one, two)
	}
}
