//go:build lab

package nfqueue_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/nfqueue"
	"keepword/dataplane/steer"
	"keepword/inspect/verdict"
)

// portable is the engine under test.
var portable bool

// TestMain runs all tests with the one engine and then with the other.
func TestMain(m *testing.M) {
	code := 0
	for _, portable = range []bool{false, true} {
		fmt.Printf("portable engine: %v\n", portable)
		code = max(code, m.Run())
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

const (
	firstQueue = 2500
	exempt     = 0x10000000
	// patience bounds whatever must happen, impatience what must not.
	patience   = 20 * time.Second
	impatience = 400 * time.Millisecond
)

// labSteer diverts port 25 of this host to one queue, and stops when nobody listens.
var labSteer = steer.Config{
	Ports: []uint16{25}, Hooks: []steer.Hook{steer.Input, steer.Output},
	FirstQueue: firstQueue, Queues: 1, Mark: exempt,
}

// inspector is a function as an Inspector.
type inspector func(b *dataplane.Batch)

func (f inspector) Inspect(b *dataplane.Batch) { f(b) }

// decideAll gives every packet of a batch the same verdict.
func decideAll(k verdict.Kind) inspector {
	return func(b *dataplane.Batch) {
		for i := range b.Packets {
			b.Packets[i].Verdict = k
		}
	}
}

var acceptAll = decideAll(verdict.Accept)

// decideEach gives every packet the verdict that f returns.
func decideEach(f func(p *dataplane.Packet) verdict.Kind) inspector {
	return func(b *dataplane.Batch) {
		for i := range b.Packets {
			b.Packets[i].Verdict = f(&b.Packets[i])
		}
	}
}

// divert makes the table in h until the test ends.
func divert(tb testing.TB, h *netns.Host, cfg steer.Config) *steer.Table {
	tb.Helper()
	var table *steer.Table
	h.Do(func() (err error) {
		table, err = steer.Open(cfg)
		return err
	})
	tb.Cleanup(func() { h.Do(table.Close) })
	return table
}

// openQueue opens an engine in h until the test ends.
func openQueue(tb testing.TB, h *netns.Host, cfg nfqueue.Config) *nfqueue.Engine {
	tb.Helper()
	if cfg.Queue == 0 {
		cfg.Queue = firstQueue
	}
	cfg.Mark = exempt
	cfg.Portable = portable
	var e *nfqueue.Engine
	h.Do(func() (err error) {
		e, err = nfqueue.Open(cfg)
		return err
	})
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// run runs e until the returned function is called or the test ends.
func run(tb testing.TB, e *nfqueue.Engine, in dataplane.Inspector) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, in) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// inline puts in into the path of port 25 of h.
func inline(tb testing.TB, h *netns.Host, in dataplane.Inspector) *nfqueue.Engine {
	tb.Helper()
	e := openQueue(tb, h, nfqueue.Config{})
	divert(tb, h, labSteer)
	run(tb, e, in)
	return e
}

// pair is a client and a server on a veth pair; keepword's place is the server's
// hooks.
type pair struct {
	client, server *netns.Host
}

var serverAddrs = []string{"192.0.2.2:25", "[2001:db8::2]:25"}

func newPair(tb testing.TB) pair {
	tb.Helper()
	p := pair{client: netns.New(tb), server: netns.New(tb)}
	p.client.Link("c", []string{"192.0.2.1/24", "2001:db8::1/64"}, p.server, "s", []string{"192.0.2.2/24", "2001:db8::2/64"})
	return p
}

// listen serves each connection to addr in h with serve until the test ends.
func listen(tb testing.TB, h *netns.Host, addr string, serve func(c net.Conn)) {
	tb.Helper()
	var l net.Listener
	h.Do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	stopped := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				<-stopped
				_ = c.Close()
			})
			serving.Go(func() {
				_ = c.SetDeadline(time.Now().Add(patience))
				serve(c)
				_ = c.Close()
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		close(stopped)
		serving.Wait()
	})
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

// dial connects from h to addr until the test ends.
func dial(tb testing.TB, h *netns.Host, addr string) net.Conn {
	tb.Helper()
	c, err := tryDial(h, addr, patience)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func tryDial(h *netns.Host, addr string, timeout time.Duration) (c net.Conn, err error) {
	err = h.Try(func() (err error) {
		c, err = net.DialTimeout("tcp", addr, timeout)
		return err
	})
	return c, err
}

// exchange sends sent and reads as many octets back.
func exchange(tb testing.TB, c net.Conn, sent []byte) []byte {
	tb.Helper()
	var wrote sync.WaitGroup
	defer wrote.Wait()
	wrote.Go(func() {
		if _, err := c.Write(sent); err != nil {
			tb.Error(err)
		}
	})
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		tb.Error(err)
	}
	return got
}

// segment is a view of a TCP packet for tests, which trust the kernel's headers.
type segment struct {
	ip, tcp, payload []byte
	src, dst         netip.AddrPort
}

func parse(data []byte) segment {
	var s segment
	var src, dst netip.Addr
	if data[0]>>4 == 4 {
		n := int(data[0]&15) * 4
		s.ip, s.tcp = data[:n], data[n:]
		src, dst = netip.AddrFrom4([4]byte(data[12:])), netip.AddrFrom4([4]byte(data[16:]))
	} else {
		s.ip, s.tcp = data[:40], data[40:]
		src, dst = netip.AddrFrom16([16]byte(data[8:])), netip.AddrFrom16([16]byte(data[24:]))
	}
	n := int(s.tcp[12]>>4) * 4
	s.tcp, s.payload = s.tcp[:n], s.tcp[n:]
	s.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(s.tcp[0:]))
	s.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(s.tcp[2:]))
	return s
}

func (s *segment) seq() uint32 { return binary.BigEndian.Uint32(s.tcp[4:]) }
func (s *segment) ack() uint32 { return binary.BigEndian.Uint32(s.tcp[8:]) }

// toServer says whether s has content for port 25.
func (s *segment) toServer() bool { return s.dst.Port() == 25 && len(s.payload) > 0 }

// sum is the Internet checksum (RFC 1071) of the concatenation of octets, each of an
// even length except the last.
func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, p := range parts {
		for ; len(p) > 1; p = p[2:] {
			s += uint32(binary.BigEndian.Uint16(p))
			s = s&0xffff + s>>16
		}
		if len(p) == 1 {
			s += uint32(p[0]) << 8
			s = s&0xffff + s>>16
		}
	}
	return ^uint16(s&0xffff + s>>16)
}

// fixChecksum writes the right TCP checksum into s.
func (s *segment) fixChecksum() {
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(s.tcp)+len(s.payload)))
	pseudo = append(pseudo, 0, 6)
	pseudo = slices.Concat(s.src.Addr().AsSlice(), s.dst.Addr().AsSlice(), pseudo)
	binary.BigEndian.PutUint16(s.tcp[16:], 0)
	binary.BigEndian.PutUint16(s.tcp[16:], sum(pseudo, s.tcp, s.payload))
}

// bare makes an IP packet with a TCP header without payload.
func bare(src, dst netip.AddrPort, seq, ack uint32, flags byte) []byte {
	var ip []byte
	if src.Addr().Is4() {
		ip = []byte{0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0}
		ip = slices.Concat(ip, src.Addr().AsSlice(), dst.Addr().AsSlice())
		binary.BigEndian.PutUint16(ip[10:], sum(ip))
	} else {
		ip = []byte{0x60, 0, 0, 0, 0, 20, 6, 64}
		ip = slices.Concat(ip, src.Addr().AsSlice(), dst.Addr().AsSlice())
	}
	tcp := binary.BigEndian.AppendUint16(nil, src.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, dst.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(tcp, 5<<4, flags, 0x40, 0, 0, 0, 0, 0)
	data := append(ip, tcp...)
	s := parse(data)
	s.fixChecksum()
	return data
}

// eventually waits until ok.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func forEachServer(t *testing.T, f func(t *testing.T, addr string)) {
	for i, addr := range serverAddrs {
		t.Run(fmt.Sprintf("IPv%d", 4+2*i), func(t *testing.T) { f(t, addr) })
	}
}
