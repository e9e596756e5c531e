package offload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"

	"keepword/bpf"
)

// Start puts ports and a window in force (see Config), and has the program take the place of one
// that a killed process has left: at each interface at once, and with what that one knew of
// connections in TLS. All else that it had let go by itself is void. Before, that one's
// program goes on without a process. The caller grants nothing before it.
func (o *Offload) Start(ports []uint16, window uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.started {
		if err := o.dropGrants(); err != nil {
			return fmt.Errorf("take over from a killed process: %w", err)
		}
	}
	// From here on the old program follows nothing: its log is read by nobody.
	if err := o.write(ports, window); err != nil {
		return err
	}
	if !o.started {
		o.started = true
		o.takeOver()
	}
	o.alive()
	return nil
}

// Prepare has the program that a killed process has left set this one's mark beside its own, so
// that connections in TLS pass the table that is there as well as the one that is about to take
// its place.
func (o *Offload) Prepare() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		return nil
	}
	var s bpf.FollowSettings
	if err := o.objects.Control.Lookup(uint32(0), &s); err != nil {
		return fmt.Errorf("read the settings of a killed process: %w", err)
	}
	s.Mark |= o.settings.Mark
	if err := o.objects.Control.Put(uint32(0), &s); err != nil {
		return fmt.Errorf("add a mark to the settings of a killed process: %w", err)
	}
	return nil
}

// dropGrants takes back what was granted, but for connections in TLS: who would forget it is not
// there any more.
func (o *Offload) dropGrants() error {
	const many = 4096
	var at ebpf.MapBatchCursor
	conns, grants := make([]bpf.FollowConn, many), make([]bpf.FollowGrant, many)
	for {
		n, err := o.objects.Grants.BatchLookup(&at, conns, grants, nil)
		for i := range n {
			if bpf.FollowOwner(grants[i].Owner) == bpf.FollowOwnerOWNER_PASS {
				continue
			}
			if err := drop(o.objects.Grants, &conns[i]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist): // that was the last
			return nil
		case err != nil:
			return err
		}
	}
}

// takeOver puts the program in the old one's place at the interfaces. Where that can't be, Attach
// begins anew.
func (o *Offload) takeOver() {
	for _, l := range o.pins.links {
		iface := interfaceHere(l)
		if iface == 0 || l.Update(o.objects.KeepwordSteer) != nil {
			_ = tcx{l}.Close()
			continue
		}
		o.attached[iface], o.unclaimed[iface] = tcx{l}, true
	}
	o.pins.links = nil
	filters, err := leftFilters()
	if err != nil {
		return
	}
	for _, left := range filters {
		if o.attached[left.LinkIndex] != nil {
			continue // this kernel has tcx since
		}
		if f, err := attachFilter(left.LinkIndex, o.objects.KeepwordSteer); err == nil {
			o.attached[left.LinkIndex], o.unclaimed[left.LinkIndex] = f, true
		}
	}
}

// pin has the program outlive the process at an interface. What can't be pinned ends with the
// process.
func (o *Offload) pin(iface int, a attachment) {
	if o.pins == nil {
		return
	}
	err := o.pins.make(o.kept)
	if l, ok := a.(tcx); ok && err == nil {
		err = l.Pin(o.pins.linkPath(iface))
	}
	if err != nil {
		o.unpinned = fmt.Errorf("interface %d: %w", iface, err)
	}
}

// Pinned says what of the program outlives the process.
func (o *Offload) Pinned() Pins {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Pins{Why: o.unpinned}
	if o.pins == nil {
		return p
	}
	p.Mounted, p.Adopted, p.Void = o.pins.place.mounted, o.pins.adopted != nil, o.pins.void
	if o.pins.made && p.Why == nil {
		p.Dir = o.pins.dir
	}
	return p
}

// RemoveLeft takes away what killed processes have left: the program at interfaces that this one
// is not attached to, pins that can't be used, and those of network namespaces that are gone. It
// is called once Attach was, for all interfaces, so that there is no moment without the program.
// The caller knows that no other keepword runs in this namespace.
func (o *Offload) RemoveLeft() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for iface := range o.unclaimed {
		o.detach(iface)
	}
	err := removeFilters(func(iface int) bool {
		_, own := o.attached[iface].(*filter)
		return own
	})
	if o.pins != nil {
		keep := ""
		if o.pins.made { // else what lies there can't be used
			keep = filepath.Base(o.pins.dir)
		}
		err = errors.Join(err, o.pins.place.clear(keep))
	}
	return err
}

// RemoveLeft takes away all that killed processes have left, pins in the BPF file system root
// included, where no program is to take their place. The caller knows that no other keepword
// runs in this namespace.
func RemoveLeft(root string) error {
	err := removeFilters(func(int) bool { return false })
	if _, missing := os.Stat(filepath.Join(root, ours)); missing != nil || !isBPFFS(root) {
		return err
	}
	p, held := openPlace(root)
	if held != nil {
		return errors.Join(err, held)
	}
	err = errors.Join(err, p.clear(""))
	p.leave()
	return err
}

func removeFilters(but func(iface int) bool) error {
	left, err := leftFilters()
	errs := []error{err}
	for _, f := range left {
		if !but(f.LinkIndex) {
			errs = append(errs, (&filter{f, qdiscOf(f)}).Close())
		}
	}
	return errors.Join(errs...)
}
