// Package inject sends whole IP packets that keepword made itself, the 421 and the
// RSTs that end a connection, through raw sockets (raw(7), IP_HDRINCL and
// IPV6_HDRINCL).
//
// The packets are routed by their destination alone and leave through the output
// hook, with a mark that says that they need no inspection. A destination on this
// host is reached too, whatever source the packet claims: the packet goes round
// through the loopback interface, where the kernel keeps the route it has found and
// does not ask whether the source could have come from there.
//
// A packet that bears the addresses of a flow which the forward hook has seen is
// translated as that flow is, if it is, where the kernel finds the flow by them: with
// source NAT, with destination NAT, but not with both at once. Then neither end knows
// the packet's addresses, and takes no notice of it: the Inspector's verdicts on the
// flow's own packets must do without.
//
// Other limits: a link-local IPv6 destination can't be reached, as a packet alone does not
// say on which link it is; and a packet can't be longer than the MTU of its route.
package inject

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/privilege"
)

// ErrPacket is returned by Send for octets that are no IP packet.
var ErrPacket = errors.New("inject: no IP packet")

// noSocket stands for the socket of an address family that this host does not have.
const noSocket = -1

// Sender sends packets. It may be used by one goroutine at a time.
type Sender struct {
	fd4, fd6 int
}

// Open makes a Sender in the network namespace of the calling thread, whose packets
// carry mark. A host without IPv6 is no error: only sending IPv6 packets is.
func Open(mark uint32) (*Sender, error) {
	fd4, err := rawSocket(unix.AF_INET, unix.IPPROTO_IP, unix.IP_HDRINCL, mark)
	if err != nil {
		return nil, err
	}
	fd6, err := rawSocket(unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_HDRINCL, mark)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		fd6 = noSocket
	} else if err != nil {
		_ = unix.Close(fd4)
		return nil, err
	}
	return &Sender{fd4: fd4, fd6: fd6}, nil
}

// rawSocket opens a socket for packets that bring their own header. It receives
// nothing, as no packet has the protocol number IPPROTO_RAW.
func rawSocket(family, level, hdrincl int, mark uint32) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if privilege.Refused(err) {
		return noSocket, fmt.Errorf("open a raw socket: %w", privilege.Needs(privilege.NetRaw))
	}
	if err != nil {
		return noSocket, fmt.Errorf("open a raw socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, level, hdrincl, 1); err != nil {
		_ = unix.Close(fd)
		return noSocket, fmt.Errorf("prepare a raw socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
		_ = unix.Close(fd)
		if privilege.Refused(err) {
			err = privilege.Needs(privilege.NetAdmin)
		}
		return noSocket, fmt.Errorf("mark a raw socket: %w", err)
	}
	return fd, nil
}

// Send sends one IP packet, from its IP header on, with its checksums right. It keeps
// nothing of packet. It does not block: a packet that the interface's queue has no
// room for is an error.
func (s *Sender) Send(packet []byte) error {
	dst, ok := destination(packet)
	switch {
	case !ok:
		return ErrPacket
	case dst.Is4():
		return unix.Sendto(s.fd4, packet, unix.MSG_NOSIGNAL, &unix.SockaddrInet4{Addr: dst.As4()})
	case s.fd6 == noSocket:
		return unix.EAFNOSUPPORT
	default:
		return unix.Sendto(s.fd6, packet, unix.MSG_NOSIGNAL, &unix.SockaddrInet6{Addr: dst.As16()})
	}
}

// destination returns the destination address of an IP packet, and false where its
// header is not whole.
func destination(packet []byte) (netip.Addr, bool) {
	const (
		// RFC 791 section 3.1: 20 octets without options, destination at 16.
		min4, dst4 = 20, 16
		// RFC 8200 section 3: 40 octets, destination at 24.
		min6, dst6 = 40, 24
	)
	switch {
	case len(packet) >= min4 && packet[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(packet[dst4 : dst4+4])), true
	case len(packet) >= min6 && packet[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(packet[dst6 : dst6+16])), true
	}
	return netip.Addr{}, false
}

// Close closes the sockets.
func (s *Sender) Close() error {
	err := unix.Close(s.fd4)
	if s.fd6 != noSocket {
		err = errors.Join(err, unix.Close(s.fd6))
	}
	return err
}
