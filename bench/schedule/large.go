package main

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
)

// large sends packets that stand for many segments (generic segmentation offload): the
// kernel divides them no sooner than it must. It is the one way to send them from
// outside of the kernel's TCP (packet(7), PACKET_VNET_HDR).
type large struct {
	fd    int
	frame [12]byte // the link's two addresses
	index int      // of the interface
}

// hardwareAddr returns the address of an interface of h on its link.
func hardwareAddr(h *lab.Host, port string) (addr net.HardwareAddr, err error) {
	err = h.Do(func() error {
		i, err := net.InterfaceByName(port)
		if err == nil {
			addr = i.HardwareAddr
		}
		return err
	})
	return addr, err
}

// open opens the socket in the host of the calling thread.
func (l *large) open(neighbour net.HardwareAddr) (err error) {
	i, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	// Protocol 0: it receives nothing.
	if l.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	copy(l.frame[copy(l.frame[:], neighbour):], i.HardwareAddr)
	l.index = i.Index
	return unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
}

// Of struct virtio_net_hdr (linux/virtio_net.h).
const (
	needsChecksum = 1
	gsoTCP4       = 1
	gsoTCP6       = 4
)

// segmentSize is the payload of the segments that a packet stands for.
const segmentSize = 1388

// send sends an IP packet whose TCP checksum is that of the pseudo-header.
func (l *large) send(pkt []byte) error {
	header, kind, protocol := ipv4Header, byte(gsoTCP4), uint16(unix.ETH_P_IP)
	if pkt[0]>>4 == 6 {
		header, kind, protocol = ipv6Header, gsoTCP6, unix.ETH_P_IPV6
	}
	link := len(l.frame) + 2
	tcp := int(pkt[header+12]>>4) * 4
	b := []byte{needsChecksum, kind}
	b = binary.NativeEndian.AppendUint16(b, uint16(link+header+tcp))
	b = binary.NativeEndian.AppendUint16(b, segmentSize)
	b = binary.NativeEndian.AppendUint16(b, uint16(link+header))
	b = binary.NativeEndian.AppendUint16(b, tcpChecksum)
	b = append(b, l.frame[:]...)
	b = binary.BigEndian.AppendUint16(b, protocol)
	return unix.Sendto(l.fd, append(b, pkt...), 0, &unix.SockaddrLinklayer{Ifindex: l.index})
}
