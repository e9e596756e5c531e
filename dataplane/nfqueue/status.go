package nfqueue

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's tables, of the network namespace of the calling thread.
const (
	queuesFile   = "/proc/thread-self/net/netfilter/nfnetlink_queue"
	netlinkFile  = "/proc/thread-self/net/netlink"
	processesDir = "/proc"
)

// Status is what the kernel says of one queue.
type Status struct {
	// Queue is the queue's number.
	Queue uint16
	// PortID is the netlink address of the socket that listens on it. It often is the
	// number of its process, and need not be.
	PortID uint32
	// Depth is the number of packets that wait for their verdict.
	Depth uint32
	// Dropped is the number of packets dropped because MaxLen packets were waiting.
	Dropped uint64
	// UserDropped is the number of packets dropped because the socket's buffer was
	// full.
	UserDropped uint64
	// Overflows is the number of messages that found the socket's buffer full: the
	// packets of UserDropped, or those that FailOpen let pass in their place.
	Overflows uint64
	// LastID is the id of the newest packet; ids count from 1.
	LastID uint32
}

// Queues returns the queues of this network namespace that a socket listens on. A
// kernel that has never heard of queues has none. The error is ErrPrivilege, wrapped,
// for a process that may not read the kernel's table.
func Queues() ([]Status, error) {
	var queues []Status
	err := readTable(queuesFile, func(r io.Reader) (err error) {
		queues, err = parseQueues(r)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read the queues: %w", ErrPrivilege)
	}
	if err != nil {
		return nil, err
	}
	sockets, err := readSockets()
	if err != nil {
		return nil, err
	}
	for i := range queues {
		queues[i].Overflows = sockets[queues[i].PortID].drops
	}
	return queues, nil
}

// Status returns what the kernel says of the engine's queue.
func (e *Engine) Status() (Status, error) {
	queues, err := Queues()
	if err != nil {
		return Status{}, &OpError{Op: "read the state of", Queue: e.cfg.Queue, Err: err}
	}
	for _, q := range queues {
		if q.Queue == e.cfg.Queue {
			return q, nil
		}
	}
	return Status{}, &OpError{Op: "read the state of", Queue: e.cfg.Queue, Err: fs.ErrNotExist}
}

// Process is a running program.
type Process struct {
	// PID is its number, 0 where it is unknown: it runs in another PID namespace, or
	// as a user whose descriptors we may not read.
	PID int
	// Name is the program's name, as the kernel knows it (/proc/PID/comm).
	Name string
}

// Holder returns the process that listens on a queue of this network namespace, and
// false where nobody does or the kernel's table can't be read.
func Holder(queue uint16) (Process, bool) {
	queues, err := Queues()
	if err != nil {
		return Process{}, false
	}
	for _, q := range queues {
		if q.Queue != queue {
			continue
		}
		sockets, err := readSockets()
		if err != nil {
			return Process{}, true
		}
		return ownerOf(processesDir, sockets[q.PortID].inode), true
	}
	return Process{}, false
}

// socket is a row of the table of netlink sockets.
type socket struct {
	inode uint64
	drops uint64
}

// readSockets returns the netfilter sockets by their netlink address.
func readSockets() (map[uint32]socket, error) {
	var sockets map[uint32]socket
	err := readTable(netlinkFile, func(r io.Reader) (err error) {
		sockets, err = parseSockets(r)
		return err
	})
	return sockets, err
}

func readTable(name string, parse func(io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := parse(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parseQueues reads the table of nfnetlink_queue: queue number, peer port id, waiting
// packets, copy mode, copy range, dropped for the queue's length, dropped for the
// socket's buffer, last id, and a 1. They are decimal.
func parseQueues(r io.Reader) ([]Status, error) {
	var queues []Status
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		n, err := decimals(strings.Fields(lines.Text()))
		if err != nil {
			return nil, err
		}
		if len(n) < 8 {
			return nil, fmt.Errorf("%d columns, want at least 8", len(n))
		}
		queues = append(queues, Status{
			Queue:       uint16(n[0]),
			PortID:      uint32(n[1]),
			Depth:       uint32(n[2]),
			Dropped:     n[5],
			UserDropped: n[6],
			LastID:      uint32(n[7]),
		})
	}
	return queues, lines.Err()
}

// parseSockets reads the netfilter sockets out of the table of netlink sockets: sk,
// protocol, port id, groups, receive memory, send memory, dump, locks, drops, inode,
// below a line of headings.
func parseSockets(r io.Reader) (map[uint32]socket, error) {
	sockets := make(map[uint32]socket)
	lines := bufio.NewScanner(r)
	lines.Scan()
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			return nil, fmt.Errorf("%d columns, want at least 10", len(f))
		}
		if f[1] != strconv.Itoa(unix.NETLINK_NETFILTER) {
			continue
		}
		n, err := decimals([]string{f[2], f[8], f[9]})
		if err != nil {
			return nil, err
		}
		sockets[uint32(n[0])] = socket{drops: n[1], inode: n[2]}
	}
	return sockets, lines.Err()
}

func decimals(fields []string) ([]uint64, error) {
	n := make([]uint64, len(fields))
	for i, f := range fields {
		var err error
		if n[i], err = strconv.ParseUint(f, 10, 64); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// ownerOf returns the process that has the socket with that inode open, the first one
// found below dir, and a Process without PID where none is found.
func ownerOf(dir string, inode uint64) Process {
	proc := os.DirFS(dir)
	link := fmt.Sprintf("socket:[%d]", inode)
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return Process{}
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fds, err := fs.ReadDir(proc, entry.Name()+"/fd")
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		for _, fd := range fds {
			if target, err := fs.ReadLink(proc, entry.Name()+"/fd/"+fd.Name()); err != nil || target != link {
				continue
			}
			name, _ := fs.ReadFile(proc, entry.Name()+"/comm")
			return Process{PID: pid, Name: strings.TrimSpace(string(name))}
		}
	}
	return Process{}
}
