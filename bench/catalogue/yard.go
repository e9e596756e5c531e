package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
)

// yard is the raw access of both sides of a lab to its links. Whole IP packets leave and
// come as they are; no kernel knows of their connections.
type yard struct {
	sockets [2]int
	gateway [2]unix.SockaddrLinklayer
	reading sync.WaitGroup

	mu    sync.Mutex
	plays map[netip.AddrPort]chan<- arrival // by client; nil when the yard is closed
}

// arrival is a packet that has come to an end.
type arrival struct {
	at  side
	pkt []byte
}

// newYard opens the yard of a lab. It must be closed.
func newYard(l *lab.Lab) (_ *yard, err error) {
	y := &yard{sockets: [2]int{-1, -1}, plays: map[netip.AddrPort]chan<- arrival{}}
	defer func() {
		if err != nil {
			y.closeSockets()
		}
	}()
	for i, end := range []struct {
		host *lab.Host
		side string
	}{{l.Client, lab.ClientSide}, {l.Server, lab.ServerSide}} {
		to := &y.gateway[i]
		if err := l.Gateway.Do(func() error {
			link, err := net.InterfaceByName(end.side)
			if err == nil {
				to.Halen = uint8(copy(to.Addr[:], link.HardwareAddr))
			}
			return err
		}); err != nil {
			return nil, err
		}
		if err := end.host.Do(func() error { return y.open(side(i), to) }); err != nil {
			return nil, fmt.Errorf("packet socket of the %v: %w", side(i), err)
		}
	}
	for i := range y.sockets {
		y.reading.Go(func() { y.read(side(i)) })
	}
	return y, nil
}

// open opens the socket of one side (packet(7)). It is called in its host.
func (y *yard) open(at side, gateway *unix.SockaddrLinklayer) error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	gateway.Ifindex = link.Index
	all := networkOrder(unix.ETH_P_ALL)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return err
	}
	y.sockets[at] = fd
	const buffer = 32 << 20 // octets: all plays at once
	// Reading ends by itself once in a while, to see whether the yard is closed.
	return errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}))
}

// networkOrder turns v round where the machine is little-endian.
func networkOrder(v uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v))
}

// close ends the yard.
func (y *yard) close() {
	y.mu.Lock()
	y.plays = nil
	y.mu.Unlock()
	y.reading.Wait()
	y.closeSockets()
}

func (y *yard) closeSockets() {
	for _, fd := range y.sockets {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// send puts a packet on the link between one side and the gateway.
func (y *yard) send(from side, pkt []byte) error {
	to := y.gateway[from]
	to.Protocol = networkOrder(unix.ETH_P_IP)
	if pkt[0]>>4 == 6 {
		to.Protocol = networkOrder(unix.ETH_P_IPV6)
	}
	return unix.Sendto(y.sockets[from], pkt, 0, &to)
}

// read hands on what comes to one side.
func (y *yard) read(at side) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(y.sockets[at], buf, 0)
		y.mu.Lock()
		closed := y.plays == nil
		y.mu.Unlock()
		if closed || err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
		if l, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && l.Pkttype != unix.PACKET_OUTGOING && isTCP(buf[:n]) {
			y.hand(at, slices.Clone(buf[:n]))
		}
	}
}

// isTCP says that a packet is one of a play's, perhaps.
func isTCP(pkt []byte) bool {
	const header4, header6, ports = 20, 40, 4
	switch {
	case len(pkt) >= header4+ports && pkt[0]>>4 == 4:
		return pkt[9] == unix.IPPROTO_TCP
	case len(pkt) >= header6+ports && pkt[0]>>4 == 6:
		return pkt[6] == unix.IPPROTO_TCP
	}
	return false
}

// hand gives a packet to the play that it belongs to.
func (y *yard) hand(at side, pkt []byte) {
	from, to := addresses(pkt)
	if at == client {
		from = to
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	select {
	case y.plays[from] <- arrival{at, pkt}: // nobody's is never ready
	default:
	}
}

// liveWire is a play's way through the lab.
type liveWire struct {
	yard     *yard
	arrivals chan arrival
	arrive   func(at side, pkt []byte)
	err      error
}

const (
	// backlog is how many packets a play may be behind.
	backlog = 1024
	// patience is how long a play waits for what comes of a packet. What is dropped or
	// held takes that long.
	patience = 2 * time.Second
	// quiet is how long nothing more has come when all has.
	quiet = 50 * time.Millisecond
	// longestPause is what a play waits for.
	longestPause = 15 * time.Second
)

func newLiveWire(y *yard) *liveWire { return &liveWire{yard: y, arrivals: make(chan arrival, backlog)} }

func (w *liveWire) open(from, _ netip.AddrPort, arrive func(at side, pkt []byte)) {
	w.arrive = arrive
	w.yard.mu.Lock()
	defer w.yard.mu.Unlock()
	w.yard.plays[from] = w.arrivals
}

func (w *liveWire) carry(from side, pkt []byte) {
	w.err = errors.Join(w.err, w.yard.send(from, pkt))
	for wait := patience; w.await(wait); wait = quiet {
	}
}

func (w *liveWire) rest(d time.Duration) {
	if d > longestPause {
		return
	}
	for end := time.Now().Add(d); w.await(time.Until(end)); {
	}
}

// await takes what comes next, and says whether anything came in time.
func (w *liveWire) await(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-w.arrivals:
		w.arrive(a.at, a.pkt)
		return true
	case <-timer.C:
		return false
	}
}
