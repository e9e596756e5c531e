package steer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// defragmenter makes the kernel put fragments of IPv4 and IPv6 together in a network
// namespace, as long as it is open: the links of a program that accepts everything, for
// the sake of their flag (BPF_F_NETFILTER_IP_DEFRAG of linux/bpf.h; Linux 6.6).
type defragmenter []link.Link

// defragment attaches the program for both families. What the kernel does for the flag,
// it does ahead of all chains of ours, at priority -400 of prerouting and output; the
// program itself hangs where fewest packets pass it.
func defragment(diverted []Hook) (defragmenter, error) {
	const nfAccept = 1 // NF_ACCEPT of linux/netfilter.h
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "keepword_defrag", Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, nfAccept), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load a netfilter program: %w", err)
	}
	defer func() { _ = program.Close() }() // the links keep it
	var d defragmenter
	for _, family := range []link.NetfilterProtocolFamily{link.NetfilterProtoIPv4, link.NetfilterProtoIPv6} {
		l, err := attach(link.NetfilterOptions{
			Program: program, ProtocolFamily: family, Hook: quietHook(diverted), Priority: int32(priority),
			NetfilterFlags: 1 << 0, // BPF_F_NETFILTER_IP_DEFRAG, which the library has as 0
		})
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d = append(d, l)
	}
	return d, nil
}

// attach attaches a program with the priority of o, or one of those behind it: the
// kernel has only one program for each.
func attach(o link.NetfilterOptions) (l link.Link, err error) {
	const tries = 16
	for range tries {
		if l, err = link.AttachNetfilter(o); !errors.Is(err, unix.EBUSY) {
			break
		}
		o.Priority++
	}
	return l, err
}

// quietHook returns a hook that mail and what else a host like this is there for does
// not pass, where there is one.
func quietHook(diverted []Hook) link.NetfilterInetHook {
	if slices.Contains(diverted, Input) && !slices.Contains(diverted, Forward) {
		return link.NetfilterInetForward // no gateway
	}
	return link.NetfilterInetLocalIn
}

// close detaches the program. That drops what waits in any queue of the namespace.
func (d defragmenter) close() error {
	var errs []error
	for _, l := range d {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
