// Package links lists the interfaces of a network namespace, and tells which appear and
// vanish (rtnetlink(7): RTM_NEWLINK, RTM_DELLINK).
package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pause is how long Watch waits before it lists all interfaces again: a receive buffer
// that has overflown says that many are changing just now.
const pause = 100 * time.Millisecond

// Watch reports each interface to add, those that exist first, and those that go to
// remove, until ctx ends; then it returns nil. With names it is the interfaces that bear
// one of them, also those that get it later, and no more once they have lost it;
// without, it is all but the loopback and those that are ports of a bridge, a bond or
// a team: what they receive their master receives behind them.
//
// listed is called once, when those that exist have been reported.
//
// What an interface was added with is gone with it: one that comes back, with the same
// index or another, is removed and added. Between two reports an interface may already
// be gone: whoever wants to use it must expect that.
//
// It acts in the network namespace of the calling thread, which the caller has locked
// where that is not the process's. All functions are called from the same goroutine.
func Watch(ctx context.Context, names []string, add func(index int, name string), remove func(index int), listed func()) error {
	w := &watch{names: names, add: add, remove: remove, listed: sync.OnceFunc(listed), known: map[int]bool{}}
	for {
		if err := w.follow(ctx); err != nil {
			return fmt.Errorf("watch network interfaces: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

type watch struct {
	names  []string
	add    func(index int, name string)
	remove func(index int)
	listed func()
	known  map[int]bool // the indices of those added and not removed
}

// follow lists what there is and follows its changes, until ctx ends or some of them may
// have been missed.
func (w *watch) follow(ctx context.Context) error {
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		return err
	}
	defer func() {
		close(done)
		for range updates { // until its sender has ended
		}
	}()
	// After subscribing, so that nothing is missed in between; what changes meanwhile
	// comes twice.
	list, err := netlink.LinkList()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	w.reconcile(list)
	for {
		select {
		case <-ctx.Done():
			return nil
		case u, ok := <-updates:
			if !ok {
				return nil
			}
			w.update(&u)
		}
	}
}

// reconcile reports what makes list of what is known.
func (w *watch) reconcile(list []netlink.Link) {
	for index := range w.known {
		if !slices.ContainsFunc(list, func(l netlink.Link) bool { return l.Attrs().Index == index }) {
			w.vanished(index)
		}
	}
	for _, l := range list {
		w.present(l.Attrs())
	}
	w.listed()
}

func (w *watch) update(u *netlink.LinkUpdate) {
	switch {
	case u.IfInfomsg.Family == unix.AF_BRIDGE:
		// It has become a bridge's port, or is no more: nothing else has changed.
	case u.Header.Type == unix.RTM_DELLINK:
		w.vanished(u.Attrs().Index)
	default:
		w.present(u.Attrs())
	}
}

// present takes note of an interface that there is.
func (w *watch) present(a *netlink.LinkAttrs) {
	wanted := a.Flags&net.FlagLoopback == 0 && !isPort(a)
	if len(w.names) > 0 {
		wanted = slices.Contains(w.names, a.Name)
	}
	switch {
	case !wanted:
		w.vanished(a.Index)
	case !w.known[a.Index]:
		w.known[a.Index] = true
		w.add(a.Index, a.Name)
	}
}

// isPort says whether an interface hands what it receives to a master. One that belongs to
// a VRF (which is a routing table) does not.
func isPort(a *netlink.LinkAttrs) bool {
	_, routed := a.Slave.(*netlink.VrfSlave)
	return a.MasterIndex != 0 && !routed
}

func (w *watch) vanished(index int) {
	if w.known[index] {
		delete(w.known, index)
		w.remove(index)
	}
}
