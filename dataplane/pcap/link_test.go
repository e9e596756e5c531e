package pcap

import (
	"bytes"
	"testing"
)

func TestIPIsFoundUnderEveryLinkHeader(t *testing.T) {
	ether := func(rest string) string { return "ddddddssssss" + rest }
	tests := []struct {
		name   string
		link   uint16
		header string
	}{
		{"raw", linkRaw, ""},
		{"raw, BSD's number", linkRawBSD, ""},
		{"raw, OpenBSD's number", linkRawOther, ""},
		{"IPv4", linkIPv4, ""},
		{"null", linkNull, "\x02\x00\x00\x00"},
		{"loop", linkLoop, "\x00\x00\x00\x02"},
		{"Ethernet", linkEthernet, ether("\x08\x00")},
		{"VLAN", linkEthernet, ether("\x81\x00\x00\x07\x08\x00")},
		{"QinQ", linkEthernet, ether("\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00")},
		{"old QinQ", linkEthernet, ether("\x91\x00\x00\x07\x81\x00\x00\x08\x08\x00")},
		{"MPLS", linkEthernet, ether("\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40")},
		{"PPPoE in a VLAN", linkEthernet, ether("\x81\x00\x00\x07\x88\x64\x11\x00\x00\x01\x00\x42\x00\x21")},
		{"LLC and SNAP", linkEthernet, ether("\x00\x40\xaa\xaa\x03\x00\x00\x00\x08\x00")},
		{"Linux cooked", linkLinuxSLL, "\x00\x00\x00\x01\x00\x06ssssss\x00\x00\x08\x00"},
		{"Linux cooked, VLAN", linkLinuxSLL, "\x00\x00\x00\x01\x00\x06ssssss\x00\x00\x81\x00\x00\x07\x08\x00"},
		{"Linux cooked v2", linkLinuxSLL2, "\x08\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x06ssssss\x00\x00"},
	}
	ip := tcp(4, "EHLO a\r\n")
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			frame := append([]byte(c.header), ip...)
			got, err := ipPacket(c.link, frame)
			if err != nil || !bytes.Equal(got, ip) {
				t.Fatalf("%d octets, %v", len(got), err)
			}
			// Cut within its headers, a frame holds less or no IP, and nothing breaks.
			for n := range len(c.header) {
				if got, err := ipPacket(c.link, frame[:n]); err != nil || len(got) > 0 {
					t.Errorf("cut to %d: %d octets, %v", n, len(got), err)
				}
			}
		})
	}
}

func TestWhatIsNotIPIsNone(t *testing.T) {
	for name, header := range map[string]string{
		"ARP":                   "ddddddssssss\x08\x06",
		"spanning tree":         "ddddddssssss\x00\x26\x42\x42\x03\x00\x00\x00\x00\x00",
		"a length within SNAP":  "ddddddssssss\x00\x40\xaa\xaa\x03\x00\x00\x00\x00\x40",
		"PPP's link control":    "ddddddssssss\x88\x64\x11\x00\x00\x01\x00\x42\xc0\x21",
		"labels without an end": "ddddddssssss\x88\x47\x00\x01\x00\x40",
	} {
		if got, err := ipPacket(linkEthernet, append([]byte(header), make([]byte, 3)...)); err != nil || got != nil {
			t.Errorf("%s: % x, %v", name, got, err)
		}
	}
}
