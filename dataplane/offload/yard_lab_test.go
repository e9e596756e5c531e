//go:build lab

package offload_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"keepword/bpf"
	"keepword/dataplane"
	"keepword/dataplane/internal/netns"
	"keepword/dataplane/offload"
	"keepword/inspect/packet"
)

// mortal is the variable that has this program be a process which is to be killed: its value is
// the BPF file system.
const mortal = "KEEPWORD_TEST_PINS"

func TestMain(m *testing.M) {
	if root := os.Getenv(mortal); root != "" {
		fmt.Fprintln(os.Stderr, live(root))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The connections of these tests, by the client's port.
const (
	inTLS    = 40000
	followed = 40002 // in mail data
	silent   = 40004 // likewise, but nothing comes while nobody is there
	granted  = 40006 // likewise, but nothing has come since it was granted
)

var (
	client = netip.MustParseAddr("10.1.1.2")
	server = netip.MustParseAddr("10.1.1.1")
)

// live is the life of the process that is killed: it attaches the program to interface a, grants
// when it is asked to, and reads its log.
func live(root string) error {
	clsact, other := os.Getenv("CLSACT") != "", os.Getenv("OTHER") != ""
	o, err := offload.Open(config(root, clsact, other))
	if err != nil {
		return err
	}
	a, err := unixIndex("a")
	if err := errors.Join(err, o.Start([]uint16{25}, 0), o.Attach(a)); err != nil {
		return err
	}
	fmt.Println("up")
	asked := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			asked <- in.Text()
		}
	}()
	w, tick := o.Worker(0), time.NewTicker(50*time.Millisecond)
	for {
		select {
		case <-asked:
			w.Grant([]dataplane.Grant{{
				Kind: dataplane.GrantPass, Client: at(client, inTLS), Server: at(server, 25), Next: [2]uint32{1001, 5001},
			}})
			for _, port := range []uint16{followed, silent, granted} {
				w.Grant([]dataplane.Grant{{
					Kind: dataplane.GrantFollow, Seen: 1, InText: true, Client: at(client, port), Server: at(server, 25),
					Next: [2]uint32{1001, 5001}, Acked: [2]uint32{1001, 5001},
				}})
			}
			fmt.Println("granted")
		case <-tick.C:
			b := dataplane.Batch{}
			w.Fill(&b, 64)
		}
	}
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func unixIndex(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(s) }()
	err = unix.IoctlIfreq(s, unix.SIOCGIFINDEX, ifr)
	return int(ifr.Uint32()), err
}

// config is that of all processes here; other is that of another version.
func config(root string, clsact, other bool) offload.Config {
	c := offload.Config{
		Ports: []uint16{25}, Mark: 1 << 28, Workers: 1, Worker: func(uint16) int { return 0 },
		Flows: 1000, Log: 1 << 16, Clsact: clsact, Pins: root,
	}
	if other {
		c.Flows = 2000
	}
	return c
}

// yard is a gateway h with an interface a, and a peer that sends to it.
type yard struct {
	t       *testing.T
	h, peer *netns.Host
	root    string // the BPF file system
	dead    *exec.Cmd
	say     *bufio.Scanner
	ask     *os.File
}

// newYard starts the process that is to be killed, and has it grant.
func newYard(t *testing.T, root string, env ...string) *yard {
	t.Helper()
	y := &yard{t: t, h: netns.New(t), peer: netns.New(t), root: root}
	y.h.Link("a", []string{"10.1.1.1/24"}, y.peer, "b", []string{"10.1.1.2/24"})
	y.dead = exec.Command(os.Args[0])
	y.dead.Env = append(append(os.Environ(), mortal+"="+root), env...)
	y.dead.Stderr = os.Stderr
	out, err := y.dead.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, ask, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	y.dead.Stdin, y.ask, y.say = in, ask, bufio.NewScanner(out)
	y.h.Do(y.dead.Start)
	t.Cleanup(y.kill)
	y.hear("up")
	for _, port := range []uint16{followed, silent, granted} {
		y.send(port, packet.SYN, 1000, 0, "")
	}
	fmt.Fprintln(ask, "grant")
	y.hear("granted")
	return y
}

func (y *yard) hear(word string) {
	y.t.Helper()
	if !y.say.Scan() || y.say.Text() != word {
		y.t.Fatalf("the process says %q, want %q", y.say.Text(), word)
	}
}

// kill is kill -9.
func (y *yard) kill() {
	if y.dead.ProcessState == nil {
		_ = y.dead.Process.Kill()
		_ = y.dead.Wait()
		_ = y.ask.Close()
	}
}

// send sends a segment from the client's port to the gateway.
func (y *yard) send(port uint16, flags packet.Flags, seq, ack uint32, payload string) {
	y.t.Helper()
	s := packet.Segment{
		Version: 4, Src: client.As16(), Dst: server.As16(), SrcPort: port, DstPort: 25, HopLimit: 64,
		Seq: seq, Ack: ack, Flags: flags, Window: 1000, Payload: []byte(payload),
	}
	y.peer.Do(func() error {
		raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(raw) }()
		return unix.Sendto(raw, s.Append(nil), 0, &unix.SockaddrInet4{Addr: server.As4()})
	})
}

// tls sends three packets of the connection in TLS.
func (y *yard) tls() {
	y.t.Helper()
	for range 3 {
		y.send(inTLS, packet.ACK|packet.PSH, 1001, 5001, "sealed")
	}
}

// line sends a line of mail data, behind so many.
func (y *yard) line(port uint16, before uint32) {
	y.t.Helper()
	const text = "line\r\n"
	y.send(port, packet.ACK, 1001+before*uint32(len(text)), 5001, text)
}

// takenUp has the program take the grant up, with a packet that it does not count.
func (y *yard) takenUp() {
	y.t.Helper()
	if n, ok := y.gives(tally{passed: 2}, y.tls); !ok {
		y.t.Fatalf("the grant is not taken up: %+v", n)
	}
}

// tally is what became of packets.
type tally struct{ passed, followed, cameUp uint64 }

// counted reads the pinned counters.
func (y *yard) counted() (n tally) {
	y.t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(y.pins(), bpf.FollowMapCounters), nil)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	sum := func(which bpf.FollowCounter) (n uint64) {
		var each []uint64
		if err := m.Lookup(uint32(which), &each); err != nil {
			y.t.Fatal(err)
		}
		for _, c := range each {
			n += c
		}
		return n
	}
	n.passed, n.followed = sum(bpf.FollowCounterCOUNT_PASSED), sum(bpf.FollowCounterCOUNT_FOLLOWED)
	for c := bpf.FollowCounterCOUNT_UNKNOWN; c <= bpf.FollowCounterCOUNT_LOG_FULL; c++ {
		n.cameUp += sum(c)
	}
	return n
}

// gives says whether f sends packets of which becomes want. The kernel may take its time to
// receive them.
func (y *yard) gives(want tally, f func()) (got tally, ok bool) {
	y.t.Helper()
	before := y.counted()
	f()
	for range 100 {
		now := y.counted()
		got = tally{now.passed - before.passed, now.followed - before.followed, now.cameUp - before.cameUp}
		if got.passed+got.followed+got.cameUp >= want.passed+want.followed+want.cameUp {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return got, got == want
}

// pins returns the one directory of pins that there is.
func (y *yard) pins() string {
	y.t.Helper()
	dirs := y.all()
	if len(dirs) != 1 {
		y.t.Fatalf("pins are in %q, want one", dirs)
	}
	return dirs[0]
}

// all returns all directories of pins.
func (y *yard) all() []string {
	dirs, err := filepath.Glob(filepath.Join(y.root, "keepword", "net-*", "*"))
	if err != nil {
		y.t.Fatal(err)
	}
	return dirs
}

// next opens the process after the killed one, in this one.
func (y *yard) next(cfg offload.Config) (o *offload.Offload) {
	y.t.Helper()
	y.h.Do(func() (err error) {
		o, err = offload.Open(cfg)
		return err
	})
	return o
}

// up starts it as keepword does.
func (y *yard) up(o *offload.Offload) {
	y.t.Helper()
	a := index(y.h, "a")
	y.h.Do(func() error { return errors.Join(o.Start([]uint16{25}, 0), o.Attach(a), o.RemoveLeft()) })
}

// programs are the programs at the interface by tcx, once there are as many as want, or after a
// time.
func (y *yard) programs(want int) (ids []ebpf.ProgramID) {
	y.t.Helper()
	a := index(y.h, "a")
	for range 100 {
		y.h.Do(func() error {
			r, err := link.QueryPrograms(link.QueryOptions{Target: a, Attach: ebpf.AttachTCXIngress})
			if err != nil {
				return err
			}
			ids = ids[:0]
			for _, p := range r.Programs {
				ids = append(ids, p.ID)
			}
			return nil
		})
		if len(ids) == want {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ids
}

// bpffs returns a directory where a BPF file system may be mounted until the test ends.
func bpffs(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func idOf(t *testing.T, p *ebpf.Program) ebpf.ProgramID {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}
