package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
	"keepword/inspect/packet"
)

// wire is the raw access of a host to its network: it sends whole IP packets, and is
// told of what comes. Its kernel takes no notice of these connections.
type wire struct {
	side                  Side
	send4, send6, receive int
	large                 large
	reading               sync.WaitGroup

	// id is that of the last packet that was sent in fragments: one address sends them
	// all, and so none may be used twice within a fragment's time.
	id atomic.Uint32

	mu    sync.Mutex
	ports map[uint16]chan arrival // by the client's port
}

// arrival is a packet of the other side.
type arrival struct {
	flags    packet.Flags
	seq, ack uint32
	octets   []byte
	stamp    uint32
}

// receiveBuffer holds the packets of many sessions while the reader waits for its turn.
const receiveBuffer = 32 << 20

// openWire opens the raw sockets of a side in its host h, which reaches the other side by
// way of the interface of next.
func openWire(side Side, h, next *lab.Host, nextPort string) (*wire, error) {
	w := &wire{side: side, send4: -1, send6: -1, receive: -1, large: large{fd: -1}, ports: map[uint16]chan arrival{}}
	neighbour, err := hardwareAddr(next, nextPort)
	if err == nil {
		err = h.Do(func() error { return w.openSockets(neighbour) })
	}
	if err != nil {
		w.closeSockets()
		return nil, fmt.Errorf("open the %v's raw sockets: %w", side, err)
	}
	w.reading.Go(w.read)
	return w, nil
}

func (w *wire) openSockets(neighbour []byte) (err error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC
	if w.send4, err = unix.Socket(unix.AF_INET, kind, unix.IPPROTO_RAW); err != nil {
		return err
	}
	if w.send6, err = unix.Socket(unix.AF_INET6, kind, unix.IPPROTO_RAW); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(w.send6, unix.IPPROTO_IPV6, unix.IPV6_HDRINCL, 1); err != nil {
		return err
	}
	if err = w.large.open(neighbour); err != nil {
		return err
	}
	// A datagram socket of AF_PACKET gives packets from their IP header on (packet(7)).
	if w.receive, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(networkOrder(unix.ETH_P_ALL))); err != nil {
		return err
	}
	// It is told which checksums a network card would fill in.
	if err = unix.SetsockoptInt(w.receive, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(w.receive, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return err
	}
	// Reading ends by itself once in a while, to see whether the wire is closed.
	return unix.SetsockoptTimeval(w.receive, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
}

// networkOrder turns v round where the machine is little-endian.
func networkOrder(v uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v))
}

// close ends the wire.
func (w *wire) close() {
	w.mu.Lock()
	w.ports = nil
	w.mu.Unlock()
	w.reading.Wait()
	w.closeSockets()
}

func (w *wire) closeSockets() {
	for _, fd := range []int{w.send4, w.send6, w.receive, w.large.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// send sends an IP packet, one that stands for many segments where isLarge says so. Of
// packets that find no room the sender learns in time, as of others that are lost.
func (w *wire) send(pkt []byte, isLarge bool) error {
	var err error
	switch {
	case isLarge:
		err = w.large.send(pkt)
	case pkt[0]>>4 == 4:
		err = unix.Sendto(w.send4, pkt, 0, &unix.SockaddrInet4{Addr: [4]byte(pkt[16:])})
	default:
		err = unix.Sendto(w.send6, pkt, 0, &unix.SockaddrInet6{Addr: [16]byte(pkt[24:])})
	}
	if errors.Is(err, unix.ENOBUFS) {
		err = nil
	}
	return err
}

// waiting is how many packets one session may be behind.
const waiting = 256

// take registers a client's port, until give.
func (w *wire) take(port uint16) <-chan arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan arrival, waiting)
	w.ports[port] = c
	return c
}

// give ends what take began: the channel is closed.
func (w *wire) give(port uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.ports[port])
	delete(w.ports, port)
}

// read hands on what comes from the other side.
func (w *wire) read() {
	buf, control := make([]byte, 1<<16), make([]byte, 64)
	for {
		n, cn, _, _, err := unix.Recvmsg(w.receive, buf, control, 0)
		w.mu.Lock()
		closed := w.ports == nil
		w.mu.Unlock()
		if closed || err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
		if err == nil {
			w.hand(buf[:n], control[:cn])
		}
	}
}

// hand gives one packet to whom it is for.
func (w *wire) hand(pkt, control []byte) {
	var v packet.View
	if packet.Parse(pkt, &v) != packet.OK {
		return
	}
	port, server := v.DstPort, v.SrcPort
	if w.side == ServerSide {
		port, server = server, port
	}
	first := Policy(0).port(w.side)
	if server < first || server >= first+uint16(policies) || !isPartial(control) && !isIntact(pkt) {
		return
	}
	a := arrival{flags: v.Flags, seq: v.Seq, ack: v.Ack, octets: append([]byte(nil), v.Payload...)}
	if o, ok := packet.ParseOptions(v.Options); ok {
		a.stamp = o.TSVal
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.ports[port] <- a: // nobody's is never ready
	default:
	}
}

// isPartial says that a packet has never left a machine, so that nobody has filled its
// checksum in (packet(7), tp_status of PACKET_AUXDATA).
func isPartial(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
		}
	}
	return false
}
