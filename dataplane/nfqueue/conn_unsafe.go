package nfqueue

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below give the kernel the addresses of structures that hold addresses of
// further memory. All of it is on the heap, where nothing moves, and is referred to by
// typed pointers in those structures, so that it lives as long as they do; and the
// conversion to uintptr is in the call itself.

// slotLen holds the longest message: a packet of the most octets that an attribute takes,
// and all other attributes. Short packets lie no denser: slots of 2 KiB were measured, and
// cost as much a batch within a hundredth.
const slotLen = 68 << 10

// receiver is the memory for one batch of messages (recvmmsg(2)).
type receiver struct {
	messages [batchLimit]unix.Mmsghdr
	vectors  [batchLimit]unix.Iovec
	slots    []byte
}

func newReceiver() *receiver {
	r := &receiver{slots: make([]byte, batchLimit*slotLen)}
	for i := range r.messages {
		v := &r.vectors[i]
		v.Base = &r.slots[i*slotLen]
		v.SetLen(slotLen)
		r.messages[i].Hdr.Iov = v
		r.messages[i].Hdr.SetIovlen(1)
	}
	return r
}

// receive takes what has come, without waiting, and returns how many messages that is.
// They overwrite those received before.
func (r *receiver) receive(fd int) (int, error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&r.messages[0])), uintptr(len(r.messages)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// message returns the octets of a received message, of one that did not fit the
// beginning.
func (r *receiver) message(i int) []byte {
	at := i * slotLen
	return r.slots[at : at+int(min(r.messages[i].Len, slotLen))]
}

// sender is the memory for what is sent at once.
type sender struct {
	header  unix.Msghdr
	vectors [2*maxMessages + 1]unix.Iovec
}

// send sends pieces as if they were joined (sendmsg(2)). There may be as many of them as
// there are vectors, and none may be empty.
func (s *sender) send(fd int, pieces [][]byte) error {
	for i, p := range pieces {
		s.vectors[i].Base = &p[0]
		s.vectors[i].SetLen(len(p))
	}
	s.header.Iov = &s.vectors[0]
	s.header.SetIovlen(len(pieces))
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&s.header)), unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		default:
			return errno
		}
	}
}
