package offload

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotEthernet is returned by Attach for an interface whose packets have no Ethernet
// header: the program can't read them.
var ErrNotEthernet = errors.New("it is no Ethernet interface")

// loopback is the index of the loopback interface in each network namespace.
const loopback = 1

// attachment is the program on one interface. Close takes it off.
type attachment interface{ Close() error }

// tcx is a program attached by a link, which may be pinned.
type tcx struct{ link.Link }

// Close takes the program off at once: of a link that is pinned no more the kernel thinks when it
// likes.
func (l tcx) Close() error {
	return errors.Join(l.Detach(), l.Unpin(), l.Link.Close())
}

// probe finds out how the kernel has programs attached. The loopback interface is always
// there, and with no ports set yet the program looks at nothing.
func (o *Offload) probe() error {
	if o.pins != nil && len(o.pins.links) > 0 {
		return nil // it has them so
	}
	a, err := o.attach(loopback)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return a.Close()
}

// attach attaches the program: by tcx, or on kernels before 6.6 by clsact.
func (o *Offload) attach(iface int) (attachment, error) {
	if !o.clsact {
		l, err := link.AttachTCX(link.TCXOptions{Interface: iface, Program: o.objects.KeepwordSteer, Attach: ebpf.AttachTCXIngress})
		if !errors.Is(err, ebpf.ErrNotSupported) {
			if err != nil {
				return nil, err
			}
			return tcx{l}, nil
		}
		o.clsact = true
	}
	return attachFilter(iface, o.objects.KeepwordSteer)
}

// filter is a program attached by clsact (tc-bpf(8)). Unlike a link of tcx it outlives the
// process: RemoveLeft.
type filter struct {
	*netlink.BpfFilter
	qdisc netlink.Qdisc // nil where it is not ours
}

const (
	filterName = "keepword_steer"
	// filterPriority is behind all that others have chosen by number, and ahead of what the
	// kernel places without one (0xc000, tcf_auto_prio in net/sched/cls_api.c).
	filterPriority = 0xbfff
	// A filter's handle says whose its qdisc is, also to the process after a killed one.
	handleGuest = 1
	handleOwner = 2
)

// qdiscOf returns the qdisc of a filter of ours where that is ours too, else nil.
func qdiscOf(f *netlink.BpfFilter) netlink.Qdisc {
	if f.Handle != handleOwner {
		return nil
	}
	return clsact(f.LinkIndex)
}

func clsact(iface int) netlink.Qdisc {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: iface, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// attachFilter takes the place of a filter that a killed process has left.
func attachFilter(iface int, program *ebpf.Program) (*filter, error) {
	f := &filter{
		BpfFilter: &netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: iface, Parent: netlink.HANDLE_MIN_INGRESS, Handle: handleOwner, Protocol: unix.ETH_P_ALL, Priority: filterPriority,
			},
			Fd: program.FD(), Name: filterName, DirectAction: true,
		},
		qdisc: clsact(iface),
	}
	made := netlink.QdiscAdd(f.qdisc)
	switch {
	case errors.Is(made, unix.EEXIST):
		f.Handle = handleGuest
		left, err := filtersOf(iface)
		if err != nil {
			return nil, fmt.Errorf("list the filters: %w", err)
		}
		if len(left) > 0 {
			f.Handle = left[0].Handle
		}
		f.qdisc = qdiscOf(f.BpfFilter)
	case made != nil:
		return nil, fmt.Errorf("add a clsact qdisc: %w", made)
	}
	if err := netlink.FilterReplace(f.BpfFilter); err != nil {
		if made == nil {
			_ = netlink.QdiscDel(f.qdisc)
		}
		return nil, fmt.Errorf("add a filter: %w", err)
	}
	return f, nil
}

// Close removes the filter, and the qdisc where attachFilter has made it and nobody else
// has put a filter there.
func (f *filter) Close() error {
	err := netlink.FilterDel(f.BpfFilter)
	if f.qdisc == nil {
		return err
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		others, listErr := netlink.FilterList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: f.LinkIndex}}, parent)
		if listErr != nil || len(others) > 0 {
			return errors.Join(err, listErr)
		}
	}
	return errors.Join(err, netlink.QdiscDel(f.qdisc))
}

// leftFilters returns the filters of ours that there are in this network namespace, on kernels
// without tcx. They outlive a process that is killed.
func leftFilters() (left []*netlink.BpfFilter, err error) {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	for _, l := range all {
		filters, err := filtersOf(l.Attrs().Index)
		if err != nil {
			continue // it is gone
		}
		left = append(left, filters...)
	}
	return left, nil
}

// filtersOf returns those at an interface.
func filtersOf(iface int) (ours []*netlink.BpfFilter, err error) {
	filters, err := netlink.FilterList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: iface}}, netlink.HANDLE_MIN_INGRESS)
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == filterName {
			ours = append(ours, b)
		}
	}
	return ours, err
}

// Attach begins to decide what comes in by an interface. One that is attached already is no
// error. It returns ErrNotEthernet, wrapped, or what the kernel says.
func (o *Offload) Attach(iface int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.attached[iface] != nil {
		delete(o.unclaimed, iface)
		return nil
	}
	l, err := netlink.LinkByIndex(iface)
	if err != nil {
		return fmt.Errorf("look at interface %d: %w", iface, err)
	}
	const ethernet = "ether" // ARPHRD_ETHER, in the library's words
	if l.Attrs().EncapType != ethernet {
		return fmt.Errorf("attach to %s: %w", l.Attrs().Name, ErrNotEthernet)
	}
	a, err := o.attach(iface)
	if err != nil {
		return fmt.Errorf("attach to %s: %w", l.Attrs().Name, err)
	}
	o.attached[iface] = a
	o.pin(iface, a)
	return nil
}

// Detach ends Attach. An interface that is gone took its program with it.
func (o *Offload) Detach(iface int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.detach(iface)
}

func (o *Offload) detach(iface int) {
	if a := o.attached[iface]; a != nil {
		_ = a.Close()
		delete(o.attached, iface)
		delete(o.unclaimed, iface)
	}
}

// DetachAll is Detach for all interfaces.
func (o *Offload) DetachAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for iface := range o.attached {
		o.detach(iface)
	}
}

// Interfaces returns how many are attached.
func (o *Offload) Interfaces() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.attached)
}

// Way names how the kernel has the program attached: tcx or clsact.
func (o *Offload) Way() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.clsact {
		return "clsact"
	}
	return "tcx"
}
