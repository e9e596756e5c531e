package nfqueue

import (
	"bytes"

	"golang.org/x/sys/unix"

	"keepword/inspect/verdict"
)

// tester is a testing.TB or a rapid.T.
type tester interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// kernel is a model of the kernel's side of one queue (net/netfilter/nfnetlink_queue.c) at
// the other end of a pair of sockets.
type kernel struct {
	tb      tester
	fd      int
	waiting []uint32 // in the order of arrival
	last    uint32   // id of the newest packet
	decided []fate   // since the last call of carriedOut
	batches int      // batch verdicts, ever
	answers int      // errors answered, ever
	buffer  []byte
}

// fate is what has become of one packet.
type fate struct {
	id   uint32
	kind verdict.Kind // Accept, Replace or Drop
	data string       // where it was replaced
	mark uint32
}

const modelQueue = 2500

// newModel returns an engine that speaks with a model.
func newModel(tb tester, cfg Config) (*Engine, *fast, *kernel) {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	for _, fd := range pair {
		if err := setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, 8<<20); err != nil {
			tb.Fatal(err)
		}
	}
	cfg.Queue = modelQueue
	e := &Engine{cfg: cfg, waiting: newWaiting(DefaultMaxLen), closed: make(chan struct{})}
	c := &conn{fd: pair[0], limit: sendBuffer}
	if err := c.sleep.open(c.fd); err != nil {
		tb.Fatal(err)
	}
	q := newFast(c, modelQueue, e.waiting, &e.counted)
	e.queue = q
	k := &kernel{tb: tb, fd: pair[1], buffer: make([]byte, 2<<20)}
	tb.Cleanup(func() {
		_ = unix.Close(pair[1])
		c.sleep.close()
		_ = unix.Close(pair[0])
	})
	return e, q, k
}

// packetMessage is a message about a packet as the kernel writes it.
func packetMessage(id uint32, data []byte) []byte {
	b := appendAttr(nil, attrPacketHdr, packetHdrLen)
	b = append(network.AppendUint32(b, id), 8, 0, 2, 0) // IPv4, forward, and what aligns it
	b = network.AppendUint32(appendAttr(b, attrInDev, 4), 2)
	b = network.AppendUint32(appendAttr(b, attrOutDev, 4), 3)
	b = network.AppendUint32(appendAttr(b, attrMark, 4), 0x40)
	b = network.AppendUint32(appendAttr(b, attrSkbInfo, 4), csumNotReady)
	b = append(appendAttr(b, attrPayload, len(data)), data...)
	return append(appendHeader(nil, typePacket, 0, headerLen+genLen+len(b), 0, modelQueue), b...)
}

// errorMessage is the kernel's answer to a message that it could not carry out.
func errorMessage(errno unix.Errno, seq uint32) []byte {
	b := host.AppendUint32(nil, headerLen+4+headerLen)
	b = host.AppendUint16(b, unix.NLMSG_ERROR)
	b = host.AppendUint16(b, 0)
	b = host.AppendUint32(b, seq)
	b = host.AppendUint32(b, 0)
	b = host.AppendUint32(b, uint32(-int32(errno)))
	return append(b, make([]byte, headerLen)...) // of the message that is meant
}

func (k *kernel) write(b []byte) {
	k.tb.Helper()
	if _, err := unix.Write(k.fd, b); err != nil {
		k.tb.Fatal(err)
	}
}

// queuePackets has n packets with these octets wait.
func (k *kernel) queuePackets(n int, data []byte) {
	for range n {
		k.last++
		k.waiting = append(k.waiting, k.last)
		k.write(packetMessage(k.last, data))
	}
}

// carryOut does as the messages say that have come, and answers as the kernel does.
func (k *kernel) carryOut() {
	k.tb.Helper()
	for {
		n, err := unix.Read(k.fd, k.buffer)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			k.tb.Fatal(err)
		}
		for b := k.buffer[:n]; len(b) > 0; {
			length := int(host.Uint32(b))
			if !k.one(host.Uint16(b[4:]), b[:length]) {
				k.answers++
				k.write(errorMessage(unix.ENOENT, host.Uint32(b[8:])))
			}
			b = b[min(len(b), align(length)):]
		}
	}
}

// one carries out one message, and returns false where its packet does not wait.
func (k *kernel) one(kind uint16, b []byte) bool {
	k.tb.Helper()
	if host.Uint16(b[6:]) != unix.NLM_F_REQUEST || network.Uint16(b[headerLen+2:]) != modelQueue {
		k.tb.Fatalf("message %x", b)
	}
	f := fate{kind: verdict.Drop}
	for a := b[headerLen+genLen:]; len(a) > 0; {
		length := int(host.Uint16(a))
		value := a[attrLen:length]
		switch host.Uint16(a[2:]) {
		case attrVerdictHdr:
			if network.Uint32(value) == nfAccept {
				f.kind = verdict.Accept
			}
			f.id = network.Uint32(value[4:])
		case attrMark:
			f.mark = network.Uint32(value)
		case attrPayload:
			f.kind, f.data = verdict.Replace, string(bytes.Clone(value))
		default:
			k.tb.Fatalf("message %x", b)
		}
		a = a[min(len(a), align(length)):]
	}
	found := false
	switch kind {
	case typeVerdict:
		for i, id := range k.waiting {
			if id == f.id {
				k.waiting = append(k.waiting[:i:i], k.waiting[i+1:]...)
				k.decided = append(k.decided, f)
				return true
			}
		}
	case typeVerdictBatch:
		k.batches++
		for len(k.waiting) > 0 && int32(k.waiting[0]-f.id) <= 0 {
			each := f
			each.id = k.waiting[0]
			k.decided = append(k.decided, each)
			k.waiting = k.waiting[1:]
			found = true
		}
	default:
		k.tb.Fatalf("message %x", b)
	}
	return found
}

// carriedOut returns what has been decided since it was called last.
func (k *kernel) carriedOut() []fate {
	k.carryOut()
	f := k.decided
	k.decided = nil
	return f
}
