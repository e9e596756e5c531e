//go:build lab

package steer

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/netns"
)

// withoutTracking is labConfig in a table that tracks nothing.
func withoutTracking() Config {
	cfg := labConfig
	cfg.NoTracking = true
	return cfg
}

// fragmentsOf returns two fragments of a SYN that src sends to dst from a port, and its
// TCP octets.
func fragmentsOf(src, dst netip.Addr, from uint16) (fragments [2][]byte, tcp []byte) {
	tcp = binary.BigEndian.AppendUint16(nil, from)
	tcp = append(tcp, 0, 25, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 0x40, 0, 0, 0, 0, 0)
	tcp = append(tcp, "octets"...)
	tcp = append(tcp, make([]byte, 16)...)
	for i, part := range [][]byte{tcp[:24], tcp[24:]} {
		more := uint16(1 - i)
		var p []byte
		if src.Is4() {
			p = []byte{0x45, 0, 0, byte(20 + len(part)), 0, 7, byte(more << 5), byte(3 * i), 64, unix.IPPROTO_TCP, 0, 0}
		} else {
			p = []byte{0x60, 0, 0, 0, 0, byte(8 + len(part)), unix.IPPROTO_FRAGMENT, 64}
		}
		p = slices.Concat(p, src.AsSlice(), dst.AsSlice())
		if src.Is6() {
			p = append(p, unix.IPPROTO_TCP, 0, 0, byte(24*i)|byte(more), 0, 0, 0, 7)
		}
		fragments[i] = append(p, part...)
	}
	return fragments, tcp
}

func TestFragmentsAreQueuedWholeWithAndWithoutTracking(t *testing.T) {
	for _, cfg := range []Config{labConfig, withoutTracking()} {
		h, peer := netns.New(t), netns.New(t)
		h.Link("a", []string{"192.0.2.1/24", "2001:db8::1/64"}, peer, "b", []string{"192.0.2.2/24", "2001:db8::2/64"})
		queued := make(chan []byte, 4)
		cfg.Queues = 1
		listenOn(t, h, cfg.FirstQueue, 1, func(p *dataplane.Packet) { queued <- slices.Clone(p.Data) })
		table := open(t, h, cfg)
		if on, why := table.Tracking(); on == cfg.NoTracking || why != nil {
			t.Errorf("tracking %t, %v", on, why)
		}
		for _, ends := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}} {
			fragments, tcp := fragmentsOf(netip.MustParseAddr(ends[0]), netip.MustParseAddr(ends[1]), 20_000)
			h.Do(func() error {
				const otherMark = 1
				s, err := inject.Open(otherMark)
				if err != nil {
					return err
				}
				return errors.Join(s.Send(fragments[1]), s.Send(fragments[0]), s.Close())
			})
			select {
			case p := <-queued:
				if got := tcpHeader(p); string(got) != string(tcp) {
					t.Errorf("no tracking %t, %s: queued %x, want %x", cfg.NoTracking, ends[0], got, tcp)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("no tracking %t, %s: nothing was queued", cfg.NoTracking, ends[0])
			}
		}
		var counted Counters
		h.Do(func() (err error) {
			counted, err = table.Counters()
			return err
		})
		if counted.Fragments != 0 {
			t.Errorf("no tracking %t: %d fragments were dropped", cfg.NoTracking, counted.Fragments)
		}
	}
}

// tracked returns how many connections h tracks.
func tracked(h *netns.Host) string {
	return strings.TrimSpace(h.Run("sysctl", "-n", "net.netfilter.nf_conntrack_count"))
}

func TestWithoutTrackingNoConnectionIsTracked(t *testing.T) {
	for _, cfg := range []Config{labConfig, withoutTracking()} {
		h := netns.New(t)
		open(t, h, cfg)
		// Whether it passes is the policy's affair; a UDP flow is tracked for 30 s.
		h.Run("bash", "-c", "echo x >/dev/udp/127.0.0.1/9")
		if got := tracked(h); (got == "0") != cfg.NoTracking {
			t.Errorf("no tracking %t: %s connections are tracked", cfg.NoTracking, got)
		}
	}
}

func TestATableThatIsTakenOverStopsTracking(t *testing.T) {
	h := netns.New(t)
	open(t, h, labConfig)
	open(t, h, withoutTracking())
	if got := h.Run("nft", "list table inet keepword"); strings.Contains(got, "ct state") {
		t.Errorf("still there:\n%s", got)
	}
}

func TestWhereTheKernelRefusesTheProgramConnectionsAreTracked(t *testing.T) {
	h := netns.New(t)
	var table *Table
	h.Do(func() (err error) {
		if err := dropBPF(); err != nil { // for this thread, which ends
			return err
		}
		table, err = Open(withoutTracking())
		return err
	})
	t.Cleanup(func() { h.Do(table.Close) })
	if on, why := table.Tracking(); !on || !errors.Is(why, unix.EPERM) {
		t.Errorf("tracking %t, %v", on, why)
	}
	if got := h.Run("nft", "list table inet keepword"); !strings.Contains(got, "ct state untracked") {
		t.Errorf("fragments are not reassembled:\n%s", got)
	}
}

// dropBPF takes from the calling thread what loading programs needs.
func dropBPF() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range []uint{unix.CAP_SYS_ADMIN, unix.CAP_BPF} {
		data[c/32].Effective &^= 1 << (c % 32)
		data[c/32].Permitted &^= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}

func TestTwoTablesInOneNamespaceDoWithoutTracking(t *testing.T) {
	h := netns.New(t)
	for _, name := range []string{"one", "two"} {
		cfg := withoutTracking()
		cfg.Name = name
		if on, why := open(t, h, cfg).Tracking(); on || why != nil {
			t.Errorf("table %s tracks: %v", name, why)
		}
	}
}
