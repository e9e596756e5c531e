//go:build lab

package offload_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keepword/inspect/packet"
)

func TestPinsThatCannotBeUsedGoWhereNoInterfaceIsThereYet(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.kill()
	y.h.Run("ip", "link", "del", "dev", "a") // and with it the killed one's only link
	o := y.next(config(y.root, false, false))
	if p := o.Pinned(); p.Adopted || len(p.Void) != 1 {
		t.Fatalf("%+v", p)
	}
	y.h.Do(func() error { return errors.Join(o.Start([]uint16{25}, 0), o.RemoveLeft()) })
	if left := y.all(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
	y.h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	a := index(y.h, "a")
	y.h.Do(func() error { return o.Attach(a) })
	y.pins() // one
	y.h.Do(o.Close)
	if _, err := os.Stat(filepath.Join(y.root, "keepword")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stop leaves %q, %v", y.all(), err)
	}
}

func TestPinsThatAnotherProcessLetsGoOfAtItsEndAreWaitedFor(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.takenUp()
	end := time.AfterFunc(200*time.Millisecond, y.kill)
	defer end.Stop()
	o := y.next(config(y.root, false, false))
	if p := o.Pinned(); !p.Adopted || p.Why != nil {
		t.Errorf("%+v", p)
	}
	y.up(o)
	if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
		t.Errorf("%+v", n)
	}
	y.h.Do(o.Close)
	if left := y.all(); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestAnEmptyPlaceOfANamespaceThatIsGoneIsRemoved(t *testing.T) {
	root := bpffs(t)
	y := newYard(t, root)
	y.kill()
	empty := filepath.Join(root, "keepword", "net-1") // the kernel's first: it is the host's
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	o := y.next(config(root, false, false))
	y.up(o)
	if _, err := os.Stat(empty); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", empty, err)
	}
	y.h.Do(o.Close)
}

func TestAQdiscOfAKilledProcessGoesWithTheNextOne(t *testing.T) {
	y := newYard(t, bpffs(t), "CLSACT=1")
	y.kill()
	o := y.next(config(y.root, true, false))
	y.up(o)
	y.h.Do(o.Close)
	if q := qdiscs(y.h, "a"); strings.Contains(q, "clsact") {
		t.Errorf("a stop leaves %s", q)
	}
}

func TestConnectionsInTLSPassBothTablesWhileTheMarkChanges(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.takenUp()
	y.h.Run("nft", "add table ip t; add chain ip t c { type filter hook prerouting priority -300; }")
	marked := func(marks ...uint32) {
		t.Helper()
		y.h.Run("nft", "flush chain ip t c")
		for _, m := range marks {
			y.h.Run("nft", fmt.Sprintf("add rule ip t c tcp dport 25 meta mark & %#x == %#x counter", m, m))
		}
		if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
			t.Errorf("%+v", n)
		}
		if got := y.h.Run("nft", "list chain ip t c"); strings.Count(got, "packets 3 ") != len(marks) {
			t.Errorf("want marks %#x: %s", marks, got)
		}
	}
	y.kill()
	cfg := config(y.root, false, false)
	old := cfg.Mark
	cfg.Mark = 1 << 27
	o := y.next(cfg)
	marked(old)
	y.h.Do(o.Prepare)
	marked(old, cfg.Mark)
	y.h.Do(func() error { return o.Start([]uint16{25}, 0) })
	marked(cfg.Mark)
	y.h.Do(o.Close)
}

func TestAnInterfaceThatHasMovedAwayIsNotTakenForAnotherWithItsIndex(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.kill()
	// The process has a network namespace that has a number.
	away := exec.Command("unshare", "--net", "sh", "-c", "echo up; exec cat")
	in, err := away.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := away.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := away.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = in.Close(), away.Wait() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	a := strconv.Itoa(index(y.h, "a"))
	y.h.Run("ip", "link", "set", "dev", "a", "netns", strconv.Itoa(away.Process.Pid))
	y.h.Run("ip", "link", "add", "index", a, "name", "a", "type", "bridge")
	o := y.next(config(y.root, false, false))
	y.up(o)
	if ids := y.programs(1); len(ids) != 1 || ids[0] != idOf(t, o.Program()) {
		t.Errorf("programs %v", ids)
	}
	y.h.Do(o.Close)
}

func TestAGrantIsVoidForTheNextConnectionThatBeginsWhileNobodyIsThere(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.kill() // before the grant was taken up
	if n, ok := y.gives(tally{cameUp: 1}, func() { y.send(inTLS, packet.SYN, 1000, 0, "") }); !ok {
		t.Errorf("its SYN: %+v", n)
	}
	o := y.next(config(y.root, false, false))
	y.up(o)
	if n, ok := y.gives(tally{cameUp: 3}, y.tls); !ok {
		t.Errorf("what follows: %+v", n)
	}
	y.h.Do(o.Close)
}

func TestAGrantIsVoidForTheNextConnectionHoweverItsSYNLooks(t *testing.T) {
	const congestion = 0xc0 // ECE and CWR, RFC 3168 section 6.1.1
	for _, more := range []packet.Flags{0, packet.PSH, congestion} {
		y := newYard(t, bpffs(t))
		y.takenUp()
		if n, ok := y.gives(tally{cameUp: 4}, func() { y.send(inTLS, packet.SYN|more, 1000, 0, ""); y.tls() }); !ok {
			t.Errorf("flags %#x: %+v", packet.SYN|more, n)
		}
	}
}
