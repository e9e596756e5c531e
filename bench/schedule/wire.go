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

// smtpPort is RFC 5321's, section 4.5.4.2.
const smtpPort = 25

// wire is the client's raw access to its network: it sends whole IP packets, and is
// told of what comes from the server. Its kernel takes no notice of these connections.
type wire struct {
	send4, send6, receive int
	reading               sync.WaitGroup

	// id is that of the last packet that was sent in fragments: one address sends them
	// all, and so none may be used twice within a fragment's time.
	id atomic.Uint32

	mu    sync.Mutex
	ports map[uint16]chan reply
}

// reply is a packet of the server.
type reply struct {
	flags    packet.Flags
	seq, ack uint32
	octets   []byte
	stamp    uint32
}

// receiveBuffer holds the packets of many sessions while the reader waits for its turn.
const receiveBuffer = 32 << 20

// openWire opens the raw sockets in h.
func openWire(h *lab.Host) (*wire, error) {
	w := &wire{send4: -1, send6: -1, receive: -1, ports: map[uint16]chan reply{}}
	err := h.Do(func() (err error) {
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
		// A datagram socket of AF_PACKET gives packets from their IP header on (packet(7)).
		all := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)))
		if w.receive, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(w.receive, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
			return err
		}
		// Reading ends by itself once in a while, to see whether the wire is closed.
		return unix.SetsockoptTimeval(w.receive, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	})
	if err != nil {
		w.closeSockets()
		return nil, fmt.Errorf("open the client's raw sockets: %w", err)
	}
	w.reading.Go(w.read)
	return w, nil
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
	for _, fd := range []int{w.send4, w.send6, w.receive} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// send sends an IP packet. Of packets that find no room the sender learns in time, as
// of others that are lost.
func (w *wire) send(packet []byte) error {
	var err error
	if packet[0]>>4 == 4 {
		err = unix.Sendto(w.send4, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(packet[16:])})
	} else {
		err = unix.Sendto(w.send6, packet, 0, &unix.SockaddrInet6{Addr: [16]byte(packet[24:])})
	}
	if errors.Is(err, unix.ENOBUFS) {
		err = nil
	}
	return err
}

// waiting is how many packets of the server one session may be behind.
const waiting = 256

// take registers a client's port, until give.
func (w *wire) take(port uint16) <-chan reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan reply, waiting)
	w.ports[port] = c
	return c
}

func (w *wire) give(port uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ports, port)
}

// read hands on what comes from the server.
func (w *wire) read() {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(w.receive, buf, 0)
		w.mu.Lock()
		closed := w.ports == nil
		w.mu.Unlock()
		if closed || err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
		if err != nil {
			continue
		}
		var v packet.View
		if packet.Parse(buf[:n], &v) != packet.OK || v.SrcPort != smtpPort {
			continue
		}
		r := reply{flags: v.Flags, seq: v.Seq, ack: v.Ack, octets: append([]byte(nil), v.Payload...)}
		if o, ok := packet.ParseOptions(v.Options); ok {
			r.stamp = o.TSVal
		}
		w.mu.Lock()
		select {
		case w.ports[v.DstPort] <- r: // nobody's is never ready
		default:
		}
		w.mu.Unlock()
	}
}
