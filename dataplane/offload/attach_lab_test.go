//go:build lab

package offload_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/netns"
	"keepword/dataplane/offload"
)

// open loads the program in h, for one worker and port 25.
func open(t *testing.T, h *netns.Host, clsact bool) (o *offload.Offload) {
	t.Helper()
	h.Do(func() (err error) {
		o, err = offload.Open(offload.Config{
			Ports: []uint16{25}, Mark: 1 << 28, Workers: 1, Worker: func(uint16) int { return 0 }, Flows: 1000, Log: 1 << 16, Clsact: clsact,
		})
		return err
	})
	return o
}

// within calls f in h.
func within(h *netns.Host, f func()) { h.Do(func() error { f(); return nil }) }

// index returns the number of one of h's interfaces.
func index(h *netns.Host, name string) (i int) {
	h.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			i = l.Attrs().Index
		}
		return err
	})
	return i
}

// filters are the programs at an interface's ingress by clsact, and qdiscs its queueing
// disciplines, as tc(8) shows them.
func filters(h *netns.Host, name string) string {
	return h.Run("tc", "filter", "show", "dev", name, "ingress")
}
func qdiscs(h *netns.Host, name string) string { return h.Run("tc", "qdisc", "show", "dev", name) }

// packets sends a SYN to port 25 from a host beside h, and returns how many packets the
// program has had.
func packets(t *testing.T, peer *netns.Host, o *offload.Offload) (n uint64) {
	t.Helper()
	_ = peer.Try(func() error {
		c, err := net.DialTimeout("tcp", "10.1.1.1:25", 200*time.Millisecond)
		if err == nil {
			return c.Close()
		}
		return err
	})
	counts, err := o.Counts()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range counts.Diverted {
		n += d.Count
	}
	return n
}

func TestTheProgramIsAttachedAndTakenOffByEitherWay(t *testing.T) {
	for _, clsact := range []bool{false, true} {
		h, peer := netns.New(t), netns.New(t)
		h.Link("a", []string{"10.1.1.1/24"}, peer, "b", []string{"10.1.1.2/24"})
		o := open(t, h, clsact)
		way := map[bool]string{false: "tcx", true: "clsact"}[clsact]
		if o.Way() != way || packets(t, peer, o) != 0 {
			t.Fatalf("%s before it is attached: %s", way, o.Way())
		}
		a := index(h, "a")
		h.Do(func() error { return errors.Join(o.Attach(a), o.Attach(a)) })
		had := packets(t, peer, o)
		if had == 0 || o.Interfaces() != 1 || strings.Contains(filters(h, "a"), "keepword_steer") != clsact {
			t.Errorf("%s: %d packets, %d interfaces, filters %q", way, had, o.Interfaces(), filters(h, "a"))
		}
		within(h, func() { o.Detach(a) })
		if n := packets(t, peer, o); n != had || o.Interfaces() != 0 || filters(h, "a") != "" || strings.Contains(qdiscs(h, "a")+qdiscs(h, "lo"), "clsact") {
			t.Errorf("%s, taken off: %d packets, filters %q, %s", way, n-had, filters(h, "a"), qdiscs(h, "a"))
		}
		within(h, func() {
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// another adds a filter of another program to an interface.
func another(t *testing.T, h *netns.Host, iface int, parent uint32) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	h.Do(func() error {
		return netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: iface, Parent: parent, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 7},
			Fd:          program.FD(), Name: "another", DirectAction: true,
		})
	})
}

func TestFiltersOfOthersStay(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "link", "add", "name", "theirs", "type", "bridge")
	h.Run("ip", "link", "add", "name", "ours", "type", "bridge")
	theirs, ours := index(h, "theirs"), index(h, "ours")
	h.Run("tc", "qdisc", "add", "dev", "theirs", "clsact")
	another(t, h, theirs, netlink.HANDLE_MIN_INGRESS)
	o := open(t, h, true)
	h.Do(func() error { return errors.Join(o.Attach(theirs), o.Attach(ours)) })
	another(t, h, ours, netlink.HANDLE_MIN_EGRESS)
	if f := filters(h, "theirs"); !strings.Contains(f, "another") || !strings.Contains(f, "keepword_steer") {
		t.Errorf("beside another: %q", f)
	}
	h.Do(o.Close)
	if f := filters(h, "theirs"); !strings.Contains(f, "another") || strings.Contains(f, "keepword_steer") {
		t.Errorf("at their qdisc: %q", f)
	}
	if f := h.Run("tc", "filter", "show", "dev", "ours", "egress"); !strings.Contains(f, "another") {
		t.Errorf("at our qdisc: %q", f)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	killed := open(t, h, true) // never taken off
	a := index(h, "a")
	h.Do(func() error { return killed.Attach(a) })
	h.Do(func() error { return offload.RemoveLeft("") })
	if f := filters(h, "a"); f != "" {
		t.Errorf("it is still there: %q", f)
	}
	h.Do(func() error { return errors.Join(killed.Close(), offload.RemoveLeft("")) })
}

func TestTheNextProcessTakesThePlaceOfAKilledOne(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	killed, a := open(t, h, true), index(h, "a")
	h.Do(func() error { return killed.Attach(a) })
	o := open(t, h, true)
	before := filters(h, "a")
	h.Do(func() error { return o.Attach(a) })
	if f := filters(h, "a"); strings.Count(f, "handle") != 1 || f == before {
		t.Errorf("before %q, then %q", before, f)
	}
	h.Do(o.Close)
	_ = h.Try(killed.Close) // its filter is gone
}

func TestAnInterfaceWithoutEthernetIsRefused(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "tuntap", "add", "tun0", "mode", "tun")
	o := open(t, h, false)
	if err := h.Try(func() error { return o.Attach(index(h, "tun0")) }); !errors.Is(err, offload.ErrNotEthernet) {
		t.Errorf("%v, want ErrNotEthernet", err)
	}
	h.Do(o.Close)
}

func TestInterfacesThatComeLaterAreAttachedTo(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	o := open(t, h, false)
	ctx, cancel := context.WithCancel(context.Background())
	reports, listed, done := make(chan string, 10), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- h.Try(func() error {
			return o.AttachAll(ctx, nil, func(name string, err error) { reports <- fmt.Sprint(name, " ", err) }, func() { close(listed) })
		})
	}()
	within5s := time.After(5 * time.Second)
	next := func() string {
		select {
		case r := <-reports:
			return r
		case <-within5s:
			return "nothing"
		}
	}
	if r := next(); r != "a <nil>" {
		t.Errorf("first %s", r)
	}
	<-listed
	h.Run("ip", "link", "add", "name", "b", "type", "bridge")
	if r := next(); r != "b <nil>" || o.Interfaces() != 2 {
		t.Errorf("later %s, %d interfaces", r, o.Interfaces())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.Do(o.Close)
}
