//go:build lab

package steer

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepword/dataplane"
	"keepword/dataplane/internal/inject"
	"keepword/dataplane/internal/netns"
)

const (
	exemptBit = 0x10000000
	// otherBits are those of other programs, in marks of packets and of connections.
	otherPacketBits, otherConnectionBits = 0x00000005, 0x20000003
)

// byConnmark is labConfig with one queue and connection marks.
func byConnmark(hooks ...Hook) Config {
	cfg := labConfig
	cfg.Queues, cfg.Connmark, cfg.Hooks = 1, true, hooks
	return cfg
}

// gateway is a client, a gateway and a server on port 25, which echoes.
type gateway struct {
	client, host, server *netns.Host
}

var echoes = map[int]string{4: "192.0.2.2:25", 6: "[2001:db8:2::2]:25"}

func newGateway(t *testing.T) gateway {
	t.Helper()
	g := gateway{netns.New(t), netns.New(t), netns.New(t)}
	g.client.Link("c", []string{"198.51.100.2/24", "2001:db8:1::2/64"}, g.host, "gc", []string{"198.51.100.1/24", "2001:db8:1::1/64"})
	g.host.Link("gs", []string{"192.0.2.1/24", "2001:db8:2::1/64"}, g.server, "s", []string{"192.0.2.2/24", "2001:db8:2::2/64"})
	// So that segments out of the window belong to their connection too.
	g.host.Run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.netfilter.nf_conntrack_tcp_be_liberal=1")
	for _, end := range []struct {
		h        *netns.Host
		ip4, ip6 string
	}{{g.client, "198.51.100.1", "2001:db8:1::1"}, {g.server, "192.0.2.1", "2001:db8:2::1"}} {
		end.h.Run("ip", "route", "add", "default", "via", end.ip4)
		end.h.Run("ip", "-6", "route", "add", "default", "via", end.ip6)
	}
	serveEcho(t, g.server)
	return g
}

// serveEcho echoes on port 25 of h until the test ends.
func serveEcho(t *testing.T, h *netns.Host) {
	t.Helper()
	var l net.Listener
	h.Do(func() (err error) {
		l, err = net.Listen("tcp", ":25")
		return err
	})
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
}

// dial connects from h to addr until the test ends.
func dial(t *testing.T, h *netns.Host, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	h.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", addr, 5*time.Second)
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// exchange has s echoed.
func exchange(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(s))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != s {
		t.Fatalf("%q came back, %v", got, err)
	}
}

// queuedPackets notes each packet that comes to the queue and exempts those with the
// octets "done".
type queuedPackets struct {
	mu    sync.Mutex
	flags []byte // the control bits of TCP, but for PSH
	texts []string
	marks []uint32
}

func (q *queuedPackets) decide(p *dataplane.Packet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tcp := tcpHeader(p.Data)
	q.flags = append(q.flags, tcp[13]&^8)
	q.marks = append(q.marks, p.Mark)
	if text := string(tcp[tcp[12]>>4*4:]); text != "" {
		q.texts = append(q.texts, text)
		p.Exempt = text == "done"
	}
}

func (q *queuedPackets) has(text string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Contains(q.texts, text)
}

// foreign returns the first mark other than want that a packet came up with, or want.
func (q *queuedPackets) foreign(want uint32) uint32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.marks {
		if m != want {
			return m
		}
	}
	return want
}

func (q *queuedPackets) count(flag byte) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.flags {
		if f&flag != 0 {
			n++
		}
	}
	return n
}

// connmarks are the marks of the connections between TCP port 25 and port that h tracks.
func connmarks(t *testing.T, h *netns.Host, port uint16) (marks []uint32) {
	t.Helper()
	h.Do(func() error {
		for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
			if err != nil {
				return err
			}
			for _, f := range flows {
				if f.Forward.SrcPort == port && f.Forward.DstPort == 25 || f.Forward.SrcPort == 25 && f.Forward.DstPort == port {
					marks = append(marks, f.Mark)
				}
			}
		}
		return nil
	})
	return marks
}

func localPort(c net.Conn) uint16 { return uint16(c.LocalAddr().(*net.TCPAddr).Port) }

func TestAConnectionThatAVerdictExemptsComesUpOnlyToEnd(t *testing.T) {
	for version, addr := range echoes {
		g, q := newGateway(t), &queuedPackets{}
		listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
		open(t, g.host, byConnmark(Forward))
		c, other := dial(t, g.client, addr), dial(t, g.client, addr)
		exchange(t, c, "first")
		exchange(t, c, "done")
		for _, text := range []string{"secret", "words"} {
			exchange(t, c, text)
			exchange(t, other, "seen "+text)
			if q.has(text) || !q.has("seen "+text) {
				t.Errorf("IPv%d: %q was queued: %t, of the other connection: %t", version, text, q.has(text), q.has("seen "+text))
			}
		}
		if got := connmarks(t, g.host, localPort(c)); !slices.Equal(got, []uint32{exemptBit}) {
			t.Errorf("IPv%d: connection marks %#x", version, got)
		}
		if got := connmarks(t, g.host, localPort(other)); !slices.Equal(got, []uint32{0}) {
			t.Errorf("IPv%d: connection marks of another %#x", version, got)
		}
		_ = c.Close()
		eventually(t, "both FINs are queued", func() bool { return q.count(flagFIN) == 2 })
	}
}

func TestAResetOfAnExemptConnectionComesUp(t *testing.T) {
	g, q := newGateway(t), &queuedPackets{}
	listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
	open(t, g.host, byConnmark(Forward))
	c := dial(t, g.client, echoes[4])
	exchange(t, c, "done")
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	eventually(t, "the RST is queued", func() bool { return q.count(flagRST) == 1 })
}

func TestExemptConnectionsUnderNAT(t *testing.T) {
	g, q := newGateway(t), &queuedPackets{}
	g.host.Run("nft", `add table ip nat
		add chain ip nat pre { type nat hook prerouting priority -100; }
		add chain ip nat post { type nat hook postrouting priority 100; }
		add rule ip nat pre ip daddr 203.0.113.1 dnat to 192.0.2.2
		add rule ip nat post oifname gs masquerade`)
	listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
	open(t, g.host, byConnmark(Forward))
	c := dial(t, g.client, "203.0.113.1:25")
	exchange(t, c, "first")
	exchange(t, c, "done")
	exchange(t, c, "secret")
	if !q.has("first") || q.has("secret") {
		t.Errorf("queued before: %t, and after: %t", q.has("first"), q.has("secret"))
	}
}

func TestOtherProgramsBitsStayInBothMarks(t *testing.T) {
	g, q := newGateway(t), &queuedPackets{}
	g.host.Run("nft", `add table inet others
		add chain inet others early { type filter hook prerouting priority -150; }
		add rule inet others early meta mark set 0x5
		add rule inet others early ct mark set ct mark & 0x10000000 | 0x20000003
		add chain inet others late { type filter hook postrouting priority 0; }
		add rule inet others late tcp dport 25 meta mark & 0x0fffffff != 0x5 counter
		add rule inet others late tcp dport 25 ct mark & 0x2fffffff != 0x20000003 counter`)
	listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
	open(t, g.host, byConnmark(Forward))
	c := dial(t, g.client, echoes[4])
	exchange(t, c, "done")
	exchange(t, c, "secret")
	if q.has("secret") {
		t.Error("not exempt")
	}
	if got := q.foreign(otherPacketBits); got != otherPacketBits {
		t.Errorf("a packet came up with the mark %#x", got)
	}
	if got := connmarks(t, g.host, localPort(c)); !slices.Equal(got, []uint32{exemptBit | otherConnectionBits}) {
		t.Errorf("connection marks %#x", got)
	}
	if got := g.host.Run("nft", "list chain inet others late"); strings.Count(got, "counter packets 0 ") != 2 {
		t.Errorf("somebody else's bits have changed:\n%s", got)
	}
	// And a SYN takes back no other bit.
	_ = sendTCP(t, g.client, c.LocalAddr(), c.RemoteAddr(), flagSYN, "", otherPacketBits)
	eventually(t, "the mark is taken back", func() bool {
		return slices.Equal(connmarks(t, g.host, localPort(c)), []uint32{otherConnectionBits})
	})
}

// sendTCP sends a segment from src to dst by a raw socket of h, with a mark.
func sendTCP(t *testing.T, h *netns.Host, src, dst net.Addr, flags byte, text string, mark uint32) error {
	t.Helper()
	from, to := src.(*net.TCPAddr).AddrPort(), dst.(*net.TCPAddr).AddrPort()
	from, to = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p := binary.BigEndian.AppendUint16(nil, from.Port())
	p = binary.BigEndian.AppendUint16(p, to.Port())
	p = append(p, 0, 0, 0, 1, 0, 0, 0, 2, 5<<4, flags, 0x40, 0, 0, 0, 0, 0)
	p = append(p, text...)
	total := uint32(0) // RFC 1071, over the pseudo header too
	for _, b := range [][]byte{from.Addr().AsSlice(), to.Addr().AsSlice(), {0, unix.IPPROTO_TCP, 0, byte(len(p))}, append(p, 0)} {
		for ; len(b) > 1; b = b[2:] {
			total += uint32(binary.BigEndian.Uint16(b))
		}
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	binary.BigEndian.PutUint16(p[16:], ^uint16(total))
	header := []byte{0x45, 0, 0, byte(20 + len(p)), 0, 9, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}
	packet := slices.Concat(header, from.Addr().AsSlice(), to.Addr().AsSlice(), p)
	var sent error
	h.Do(func() error {
		s, err := inject.Open(mark)
		if err != nil {
			return err
		}
		sent = s.Send(packet)
		return s.Close()
	})
	return sent
}

func TestASYNTakesTheExemptionBack(t *testing.T) {
	g, q := newGateway(t), &queuedPackets{}
	listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
	open(t, g.host, byConnmark(Forward))
	c := dial(t, g.client, echoes[4])
	exchange(t, c, "done")
	exchange(t, c, "secret")
	before := q.count(flagSYN)
	if err := sendTCP(t, g.client, c.LocalAddr(), c.RemoteAddr(), flagSYN, "", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the SYN is queued", func() bool { return q.count(flagSYN) > before })
	if err := sendTCP(t, g.client, c.LocalAddr(), c.RemoteAddr(), flagACK, "anew", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what follows is queued", func() bool { return q.has("anew") })
	for _, mark := range connmarks(t, g.host, localPort(c)) {
		if mark&exemptBit != 0 {
			t.Errorf("connection mark %#x", mark)
		}
	}
}

// A killed connection's 421 and RSTs bear the mark without a verdict.
func TestInjectedPacketsExemptNoConnection(t *testing.T) {
	for _, hooks := range [][]Hook{{Forward}, {Forward, Input, Output}, {Output}, {Input}} {
		g, q := newGateway(t), &queuedPackets{}
		serveEcho(t, g.host)
		listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
		open(t, g.host, byConnmark(hooks...))
		through, here, within := dial(t, g.client, echoes[4]), dial(t, g.client, "198.51.100.1:25"), dial(t, g.host, "127.0.0.1:25")
		for _, c := range []net.Conn{through, here, within} {
			exchange(t, c, "first")
			// To both ends, as keepword does.
			for _, flags := range []byte{flagACK, flagRST} {
				for _, ends := range [][2]net.Addr{{c.LocalAddr(), c.RemoteAddr()}, {c.RemoteAddr(), c.LocalAddr()}} {
					if err := sendTCP(t, g.host, ends[0], ends[1], flags, "421 no", exemptBit); err != nil {
						t.Fatalf("%v: %v", hooks, err)
					}
				}
			}
			marks := connmarks(t, g.host, localPort(c))
			if len(marks) == 0 || slices.ContainsFunc(marks, func(m uint32) bool { return m&exemptBit != 0 }) {
				t.Errorf("%v: connection marks %#x", hooks, marks)
			}
			if q.has("421 no") {
				t.Errorf("%v: an injected packet was queued", hooks)
			}
			exchange(t, c, "still seen")
		}
	}
}

func TestAPacketThatSomebodyElseMarkedIsExemptAndItsConnectionIsNot(t *testing.T) {
	g, q := newGateway(t), &queuedPackets{}
	g.host.Run("nft", `add table inet others
		add chain inet others early { type filter hook prerouting priority -150; }
		add rule inet others early tcp dport 25 tcp flags & (psh|fin|syn|rst) == 0 meta mark set 0x10000005 counter
		add chain inet others late { type filter hook postrouting priority 0; }
		add rule inet others late tcp dport 25 meta mark 0x5 counter comment "kept"
		add rule inet others late meta mark & 0x10000000 != 0 counter comment "passed on"`)
	listenOn(t, g.host, labConfig.FirstQueue, 1, q.decide)
	open(t, g.host, byConnmark(Forward))
	c := dial(t, g.client, echoes[4])
	for range 3 {
		exchange(t, c, "seen")
	}
	count := func(chain string) string { return g.host.Run("nft", "list chain inet others "+chain) }
	if got := count("early"); strings.Contains(got, "packets 0 ") {
		t.Errorf("nothing was marked:\n%s", got)
	}
	if got := count("late"); strings.Count(got, "packets 0 ") != 1 {
		t.Errorf("of the packet's mark not the exempt bit alone was taken off:\n%s", got)
	}
	if got := q.foreign(0); got != 0 {
		t.Errorf("a packet came up with the mark %#x", got)
	}
	if got := connmarks(t, g.host, localPort(c)); !slices.Equal(got, []uint32{0}) {
		t.Errorf("connection marks %#x", got)
	}
}

func TestWhileItStopsDivertingNoMarkIsSaved(t *testing.T) {
	h := netns.New(t)
	serveEcho(t, h)
	table := open(t, h, byConnmark(Input, Output))
	h.Run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_be_liberal=1") // for what sendTCP sends
	c := dial(t, h, "127.0.0.1:25")
	h.Do(table.StopDiverting)
	if err := sendTCP(t, h, c.RemoteAddr(), c.LocalAddr(), flagACK, "421 no", exemptBit); err != nil {
		t.Fatal(err)
	}
	if got := connmarks(t, h, localPort(c)); !slices.Equal(got, []uint32{0}) {
		t.Errorf("connection marks %#x", got)
	}
}

func TestTheChainsThatSaveAreRestoredAndTakenOver(t *testing.T) {
	h := netns.New(t)
	table := open(t, h, byConnmark(Forward))
	for _, damage := range []string{"flush chain inet keepword forward-save", "delete chain inet keepword forward-save", "flush ruleset"} {
		h.Run("nft", damage)
		h.Do(func() error {
			restored, err := table.Restore()
			if !restored {
				t.Errorf("%s: not restored", damage)
			}
			return err
		})
		if got := h.Run("nft", "list chain inet keepword forward-save"); strings.Count(got, "ct mark set") != 2 ||
			!strings.Contains(got, "hook forward priority 11; policy accept;") {
			t.Errorf("%s: after restoring:\n%s", damage, got)
		}
	}
	before := chainHandles(h)
	cfg := labConfig
	cfg.Queues = 1
	open(t, h, cfg)
	if got := h.Run("nft", "list table inet keepword"); strings.Contains(got, "ct mark") {
		t.Errorf("still by connection mark:\n%s", got)
	}
	open(t, h, byConnmark(Forward))
	if after := chainHandles(h); !strings.HasPrefix(after, before) {
		t.Errorf("base chains were made anew: handles %s, were %s", after, before)
	}
}
