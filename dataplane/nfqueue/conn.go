package nfqueue

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
)

// Commands and attributes of NFQNL_MSG_CONFIG (linux/netfilter/nfnetlink_queue.h).
const (
	cfgCmd    = 1 // NFQA_CFG_CMD: command, padding, family
	cfgParams = 2 // NFQA_CFG_PARAMS: copy range, copy mode
	cfgMaxLen = 3 // NFQA_CFG_QUEUE_MAXLEN
	cfgMask   = 4 // NFQA_CFG_MASK: which flags are meant
	cfgFlags  = 5 // NFQA_CFG_FLAGS

	cmdBind      = 1      // NFQNL_CFG_CMD_BIND
	copyPacket   = 2      // NFQNL_COPY_PACKET
	flagFailOpen = 1 << 0 // NFQA_CFG_F_FAIL_OPEN
	flagGSO      = 1 << 2 // NFQA_CFG_F_GSO
)

// conn is a netlink socket that has a queue, and what its thread sleeps on.
type conn struct {
	fd int
	// limit is how many octets it takes at once.
	limit   int
	in      *receiver
	vectors sender
	sleep   sleeper
}

// openConn opens a socket in the network namespace of the calling thread.
func openConn(buffer int) (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	s := &conn{fd: fd}
	if err := s.prepare(buffer); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *conn) prepare(buffer int) error {
	// Connected to the kernel it receives from nobody else.
	if err := unix.Connect(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("connect a netlink socket: %w", err)
	}
	if err := setBuffer(s.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	if err := setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer); err != nil {
		return fmt.Errorf("set the send buffer: %w", err)
	}
	size, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return fmt.Errorf("read the send buffer's size: %w", err)
	}
	const reserve = 32 // netlink_sendmsg takes so much less
	s.limit = size - reserve
	// Without this option a socket whose buffer has overflown gets nothing more until
	// it has been read empty, and each packet of that time is lost too. The kernel
	// counts overflows all the same: Status tells.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1); err != nil {
		return fmt.Errorf("set NETLINK_NO_ENOBUFS: %w", err)
	}
	// An error's answer shall not bring back the packet that came with the verdict. A
	// kernel without the option (before 4.3) sends it all the same.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	return s.sleep.open(s.fd)
}

// setBuffer sets the size of a buffer beyond the host's limit where that is allowed.
func setBuffer(fd, force, plain, size int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
}

// bind takes the queue. The kernel brings no packets yet: a new queue is in the mode
// NFQNL_COPY_NONE, and so what comes next is the answer.
func (s *conn) bind(cfg *Config) error {
	flags := uint32(flagGSO)
	if cfg.FailOpen {
		flags |= flagFailOpen
	}
	b := appendAttr(nil, cfgCmd, 4)
	b = append(b, cmdBind, 0, 0, unix.AF_UNSPEC)
	b = network.AppendUint32(appendAttr(b, cfgMaxLen, 4), cfg.MaxLen)
	b = network.AppendUint32(appendAttr(b, cfgMask, 4), flagGSO|flagFailOpen)
	b = network.AppendUint32(appendAttr(b, cfgFlags, 4), flags)
	if err := s.configure(cfg.Queue, unix.NLM_F_REQUEST|unix.NLM_F_ACK, b); err != nil {
		return err
	}
	var answer [256]byte
	n, _, err := unix.Recvfrom(s.fd, answer[:], 0)
	if err != nil {
		return fmt.Errorf("take the queue: %w", err)
	}
	if m, _, ok := nextMessage(answer[:n]); ok && m.kind == unix.NLMSG_ERROR {
		if errno, ok := m.errno(); ok && errno == 0 {
			return nil
		} else if ok {
			return errno
		}
	}
	return fmt.Errorf("take the queue: %w", unix.EBADMSG)
}

// startCopying asks the kernel for whole packets from now on. The answer, which comes
// only where it fails, is an error of receiving.
func (s *conn) startCopying(queue uint16) error {
	b := appendAttr(nil, cfgParams, 5)
	b = network.AppendUint32(b, copyRange)
	b = append(b, copyPacket, 0, 0, 0) // and what aligns it
	return s.configure(queue, unix.NLM_F_REQUEST, b)
}

func (s *conn) configure(queue, flags uint16, attrs []byte) error {
	b := appendHeader(nil, typeConfig, flags, headerLen+genLen+len(attrs), 0, queue)
	return unix.Sendto(s.fd, append(b, attrs...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// send sends pieces as if they were joined.
func (s *conn) send(pieces [][]byte) error { return s.vectors.send(s.fd, pieces) }

func (s *conn) close() error {
	s.sleep.close()
	return unix.Close(s.fd)
}

// sleeper is what a thread sleeps on when there is nothing to do: the queue's socket, an
// eventfd(2) by which others wake it, and the Follower's descriptor.
type sleeper struct {
	fds     []unix.PollFd
	timeout unix.Timespec
	event   int
}

// Places in sleeper.fds.
const (
	polledSocket = iota
	polledEvent
	polledFollower // where there is one
)

func (s *sleeper) open(fd int) error {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("make an eventfd: %w", err)
	}
	s.event = event
	s.fds = []unix.PollFd{
		polledSocket: {Fd: int32(fd), Events: unix.POLLIN},
		polledEvent:  {Fd: int32(event), Events: unix.POLLIN},
	}
	return nil
}

// follow wakes the thread also when f has logged much.
func (s *sleeper) follow(f dataplane.Follower) {
	s.fds = append(s.fds, unix.PollFd{Fd: int32(f.FD()), Events: unix.POLLIN})
}

// sleep waits until something is to be done, and returns true where that is only the
// next tick.
func (s *sleeper) sleep() (tick bool, err error) {
	for end := time.Now().Add(dataplane.TickInterval); ; {
		left := time.Until(end)
		if left <= 0 {
			return true, nil
		}
		s.timeout = unix.NsecToTimespec(int64(left))
		n, err := unix.Ppoll(s.fds, &s.timeout, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, err
		case n == 0:
			return true, nil
		}
		if s.fds[polledEvent].Revents != 0 {
			var n [8]byte
			_, _ = unix.Read(s.event, n[:]) // whatever it counted
		}
		return false, nil
	}
}

// wake ends a sleep, the present one or the next.
func (s *sleeper) wake() {
	one := host.AppendUint64(nil, 1)
	_, _ = unix.Write(s.event, one) // a full counter wakes too
}

func (s *sleeper) close() { _ = unix.Close(s.event) }
