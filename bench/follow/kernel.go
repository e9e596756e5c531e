// Package follow puts the kernel's own share into proofs: it runs the real program on packets
// (BPF_PROG_TEST_RUN, Documentation/bpf/bpf_prog_run.rst) without any interface, beside a
// Pipeline that grants what the program may do and reads what it has let through.
//
// It needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN.
package follow

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"keepword/dataplane"
	"keepword/dataplane/offload"
)

// mark exempts here.
const mark = 0x10000000

// logSize is the octets of the log.
const logSize = 1 << 20

// Kernel is the program, and the log of its one worker.
type Kernel struct {
	program *offload.Offload
	frame   []byte
	out     []byte
}

// large is from how many octets on a packet of mail data is kept in a ring: few, so that many are.
const large = 300

// NewKernel loads the program for servers at ports. window is the most octets that a sender
// may have in flight, 0: as many as it likes.
func NewKernel(window int, ports ...uint16) (*Kernel, error) {
	o, err := offload.Open(offload.Config{
		Ports: ports, Mark: mark, Window: uint32(window), Large: large, Workers: 1, Worker: func(uint16) int { return 0 },
		Log: logSize, Flows: 1 << 12,
	})
	if err != nil {
		return nil, err
	}
	return &Kernel{program: o, out: make([]byte, 1<<17)}, nil
}

// Close frees what the kernel has.
func (k *Kernel) Close() error { return k.program.Close() }

// Follower is what an engine, or a proof in its place, reads the log from.
func (k *Kernel) Follower() dataplane.Follower { return k.program.Worker(0) }

// Rings are what an Inspector shares with the program. Nobody else may have any of them.
func (k *Kernel) Rings() []dataplane.Ring {
	rings := k.program.Rings()
	for _, r := range rings {
		r.Taken.Store(0)
	}
	return rings
}

// Counts returns what became of packets so far.
func (k *Kernel) Counts() (offload.Counts, error) { return k.program.Counts() }

const (
	ethernetHeader = 14
	protocolIPv4   = 0x0800
	protocolIPv6   = 0x86dd
	shot           = 2 // TC_ACT_SHOT
)

// Decide has the program decide an IP packet. passed says that it goes on by itself, as out;
// otherwise it comes up, as out. With both false and out nil it is dropped. out is lent until
// the next call.
func (k *Kernel) Decide(packet []byte) (passed bool, out []byte, err error) {
	protocol := uint16(protocolIPv4)
	if packet[0]>>4 == 6 {
		protocol = protocolIPv6
	}
	k.frame = append(k.frame[:0], make([]byte, ethernetHeader)...)
	binary.BigEndian.PutUint16(k.frame[ethernetHeader-2:], protocol)
	k.frame = append(k.frame, packet...)
	var before, after [192]byte // struct __sk_buff, all of it
	run := ebpf.RunOptions{Data: k.frame, DataOut: k.out, Context: before, ContextOut: &after}
	action, err := k.program.Program().Run(&run)
	if err != nil {
		return false, nil, fmt.Errorf("run the program: %w", err)
	}
	if action == shot {
		return false, nil, nil
	}
	const markAt = 8
	return binary.NativeEndian.Uint32(after[markAt:])&mark == mark, run.DataOut[ethernetHeader:], nil
}
