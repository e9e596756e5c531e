//go:build lab

// Package netns gives tests network namespaces of their own (network_namespaces(7)):
// single hosts, and hosts joined by a veth pair.
package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Host is a network namespace without a name, so that nothing of it remains when the
// test ends.
type Host struct {
	tb testing.TB
	ns netns.NsHandle
}

// New makes a host with its loopback interface up. It fails the test without root.
func New(tb testing.TB) *Host {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("tests with the build tag lab need root")
	}
	h := &Host{tb: tb, ns: netns.None()}
	if err := onOwnThread(func() (err error) {
		h.ns, err = netns.New()
		return err
	}); err != nil {
		tb.Fatalf("make a network namespace: %v", err)
	}
	tb.Cleanup(func() { _ = h.ns.Close() })
	h.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return h
}

// onOwnThread calls f on a thread that ends with it, so that f may change the
// thread's namespace.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// Do calls f on a thread within the host and fails the test on its error. What f
// opens stays in the host; other goroutines that f starts do not run in it.
func (h *Host) Do(f func() error) {
	h.tb.Helper()
	if err := h.Try(f); err != nil {
		h.tb.Fatal(err)
	}
}

// Try is Do for an error that the test expects.
func (h *Host) Try(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// Run runs a command in the host and returns what it printed.
func (h *Host) Run(name string, args ...string) string {
	h.tb.Helper()
	var out []byte
	h.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
		}
		return err
	})
	return string(out)
}

// Link joins h and peer with a veth pair and gives both ends their addresses.
func (h *Host) Link(name string, addrs []string, peer *Host, peerName string, peerAddrs []string) {
	h.tb.Helper()
	h.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peerName, PeerNamespace: netlink.NsFd(peer.ns)})
	})
	h.up(name, addrs)
	peer.up(peerName, peerAddrs)
}

func (h *Host) up(name string, addrs []string) {
	h.tb.Helper()
	h.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a)
			if err != nil {
				return err
			}
			addr := &netlink.Addr{
				IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
			}
			if p.Addr().Is6() {
				addr.Flags = 0x02 // IFA_F_NODAD: usable at once
			}
			err = errors.Join(err, netlink.AddrAdd(link, addr))
			if err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(link)
	})
}
