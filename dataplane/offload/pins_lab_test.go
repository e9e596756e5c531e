//go:build lab

package offload_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/netns"
	"keepword/dataplane/offload"
)

func TestConnectionsInTLSOutliveAKilledProcess(t *testing.T) {
	for _, clsact := range []bool{false, true} {
		env := map[bool]string{true: "CLSACT=1", false: "CLSACT="}[clsact]
		y := newYard(t, bpffs(t), env)
		y.takenUp()
		if n, ok := y.gives(tally{passed: 3, followed: 2}, func() { y.tls(); y.line(followed, 0); y.line(silent, 0) }); !ok {
			t.Fatalf("%s, while it lives: %+v", env, n)
		}
		y.kill()
		if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
			t.Errorf("%s, while nobody is there: %+v", env, n)
		}
		time.Sleep(offload.AliveTime)
		if n, ok := y.gives(tally{cameUp: 1}, func() { y.line(followed, 1) }); !ok {
			t.Errorf("%s, what was followed, while nobody is there: %+v", env, n)
		}

		o := y.next(config(y.root, clsact, false))
		if p := o.Pinned(); !p.Adopted || p.Dir != y.pins() || p.Why != nil || p.Void != nil {
			t.Fatalf("%s: %+v", env, p)
		}
		if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
			t.Errorf("%s, before the next one starts: %+v", env, n)
		}
		y.h.Do(func() error { return o.Start([]uint16{25}, 0) })
		if n, ok := y.gives(tally{passed: 3}, y.tls); !ok || o.Interfaces() != 1 {
			t.Errorf("%s, taken over at %d interfaces: %+v", env, o.Interfaces(), n)
		}
		y.up(o)
		if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
			t.Errorf("%s, once the next one is there: %+v", env, n)
		}
		for port, lines := range map[uint16]uint32{followed: 1, silent: 1, granted: 0} {
			if n, ok := y.gives(tally{cameUp: 1}, func() { y.line(port, lines) }); !ok {
				t.Errorf("%s, what the killed one had followed or granted (%d): %+v", env, port, n)
			}
		}
		if ids := y.programs(1); !clsact && (len(ids) != 1 || ids[0] != idOf(t, o.Program())) {
			t.Errorf("%s: programs %v, want %d", env, ids, idOf(t, o.Program()))
		}
		if f := filters(y.h, "a"); clsact && strings.Count(f, "handle") != 1 {
			t.Errorf("%s: filters %q", env, f)
		}
		y.h.Do(o.Close)
		if _, err := os.Stat(filepath.Join(y.root, "keepword")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, taken off: %v, %q", env, err, y.all())
		}
		if ids, f := y.programs(0), filters(y.h, "a"); len(ids) != 0 || f != "" {
			t.Errorf("%s, taken off: %v, %q", env, ids, f)
		}
	}
}

func TestAStartThatFailsLeavesPinsAsTheyAre(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.takenUp()
	y.kill()
	y.h.Do(y.next(config(y.root, false, false)).Close)
	if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
		t.Errorf("%+v", n)
	}
}

func TestASecondProcessLeavesTheFirstOnesPins(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.takenUp()
	o := y.next(config(y.root, false, false))
	if p := o.Pinned(); p.Why == nil || !strings.Contains(p.Why.Error(), "another process's") || p.Dir != "" {
		t.Errorf("the second one has %+v", p)
	}
	if err := y.h.Try(func() error { return offload.RemoveLeft(y.root) }); err == nil {
		t.Error("it takes them away")
	}
	y.h.Do(o.Close)
	y.kill()
	if n, ok := y.gives(tally{passed: 3}, y.tls); !ok {
		t.Errorf("after it, and a kill: %+v", n)
	}
}

func TestDamagedPinsAreNamedAndReplaced(t *testing.T) {
	another := func(dir, name string) error {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			return err
		}
		defer func() { _ = m.Close() }()
		return errors.Join(os.Remove(filepath.Join(dir, name)), m.Pin(filepath.Join(dir, name)))
	}
	damages := []struct {
		want string
		do   func(dir string) error
	}{
		{"map flows is missing", func(dir string) error { return os.Remove(filepath.Join(dir, "flows")) }},
		{"grants is damaged", func(dir string) error { return another(dir, "grants") }},
		{"control is damaged", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "control")), os.Mkdir(filepath.Join(dir, "control"), 0o700))
		}},
		{"servers is damaged", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "servers")), os.Symlink("nowhere", filepath.Join(dir, "servers")))
		}},
		{"strange is no map of ours", func(dir string) error { return os.Mkdir(filepath.Join(dir, "strange"), 0o700) }},
		{"interface_", func(dir string) error {
			links, err := filepath.Glob(filepath.Join(dir, "interface_*"))
			if err != nil || len(links) != 1 {
				return fmt.Errorf("links %q, %w", links, err)
			}
			return another(dir, filepath.Base(links[0]))
		}},
		{"no interface has the program any more", func(dir string) error {
			links, err := filepath.Glob(filepath.Join(dir, "interface_*"))
			if err != nil || len(links) != 1 {
				return fmt.Errorf("links %q, %w", links, err)
			}
			return os.Remove(links[0])
		}},
	}
	for _, d := range damages {
		y := newYard(t, bpffs(t))
		y.kill()
		dir := y.pins()
		if err := d.do(dir); err != nil {
			t.Fatalf("%s: %v", d.want, err)
		}
		o := y.next(config(y.root, false, false))
		if p := o.Pinned(); p.Adopted || len(p.Void) != 1 || !strings.Contains(p.Void[0].Error(), d.want) || !strings.Contains(p.Void[0].Error(), dir) {
			t.Errorf("%s: %+v", d.want, p)
		}
		y.up(o)
		if p := o.Pinned(); p.Dir != dir || p.Why != nil || y.pins() != dir {
			t.Errorf("%s, replaced: %+v", d.want, p)
		}
		if n, ok := y.gives(tally{cameUp: 3}, y.tls); !ok {
			t.Errorf("%s: %+v", d.want, n)
		}
		if ids := y.programs(1); len(ids) != 1 || ids[0] != idOf(t, o.Program()) {
			t.Errorf("%s: programs %v", d.want, ids)
		}
		y.h.Do(o.Close)
		if left := y.all(); len(left) != 0 {
			t.Errorf("%s: left %q", d.want, left)
		}
	}
}

func TestPinsOfAnotherVersionGoBehindTheNewProgram(t *testing.T) {
	y := newYard(t, bpffs(t), "OTHER=1")
	y.kill()
	old := y.pins()
	o := y.next(config(y.root, false, false))
	if p := o.Pinned(); p.Adopted || len(p.Void) != 1 || !strings.Contains(p.Void[0].Error(), "another version") {
		t.Errorf("%+v", p)
	}
	a := index(y.h, "a")
	y.h.Do(func() error { return errors.Join(o.Start([]uint16{25}, 0), o.Attach(a)) })
	if ids := y.programs(2); len(ids) != 2 {
		t.Errorf("both are to be there for a while: %v", ids)
	}
	y.h.Do(o.RemoveLeft)
	if ids := y.programs(1); len(ids) != 1 || ids[0] != idOf(t, o.Program()) {
		t.Errorf("programs %v", ids)
	}
	if y.pins() == old {
		t.Error("the pins are the old ones")
	}
	y.h.Do(o.Close)
}

func TestPinsOfOtherNamespacesStayUntilTheyAreGone(t *testing.T) {
	root := bpffs(t)
	y, other := newYard(t, root), netns.New(t)
	y.kill()
	there := y.pins()
	other.Run("ip", "link", "add", "name", "a", "type", "bridge")
	z := &yard{t: t, h: other, root: root}
	o := z.next(config(root, false, false))
	if p := o.Pinned(); p.Adopted || p.Void != nil {
		t.Errorf("those of another namespace: %+v", p)
	}
	z.up(o)
	if dirs := z.all(); len(dirs) != 2 {
		t.Errorf("pins are in %q", dirs)
	}
	y.h.Run("ip", "link", "del", "dev", "a")
	other.Do(o.RemoveLeft)
	if z.pins() == there {
		t.Error("those of a namespace without interfaces are still there")
	}
	other.Do(o.Close)
}

func TestAllThatWasLeftIsRemovedWhereNoProgramFollows(t *testing.T) {
	y := newYard(t, bpffs(t))
	y.kill()
	y.h.Do(func() error { return offload.RemoveLeft(y.root) })
	if ids := y.programs(0); len(ids) != 0 || len(y.all()) != 0 {
		t.Errorf("left %v, %q", ids, y.all())
	}
}

func TestAProgramThatCannotBePinnedWorksAllTheSame(t *testing.T) {
	h := netns.New(t)
	h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	foreign := bpffs(t)
	if err := errors.Join(unix.Mount("bpf", foreign, "bpf", 0, ""), os.Mkdir(filepath.Join(foreign, "keepword"), 0o700),
		os.Chmod(filepath.Join(foreign, "keepword"), 0o770)); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{
		filepath.Join(t.TempDir(), "missing"): "there is no BPF file system",
		foreign:                               "only we may use",
	} {
		y := &yard{t: t, h: h, root: root}
		o := y.next(config(root, false, false))
		y.up(o)
		if p := o.Pinned(); o.Interfaces() != 1 || p.Dir != "" || p.Why == nil || !strings.Contains(p.Why.Error(), want) {
			t.Errorf("%d interfaces, %+v, want %q", o.Interfaces(), p, want)
		}
		h.Do(o.Close)
	}
}

func TestTheFileSystemIsMountedAndUnmounted(t *testing.T) {
	h, root := netns.New(t), bpffs(t)
	h.Run("ip", "link", "add", "name", "a", "type", "bridge")
	y := &yard{t: t, h: h, root: root}
	mounted := func() bool {
		var s unix.Statfs_t
		return unix.Statfs(root, &s) == nil && s.Type == unix.BPF_FS_MAGIC
	}
	o := y.next(config(root, false, false))
	y.up(o)
	if p := o.Pinned(); !p.Mounted || !mounted() || p.Dir == "" {
		t.Errorf("mounted: %v, %+v", mounted(), p)
	}
	h.Do(o.Close)
	if mounted() {
		t.Error("it is still mounted")
	}
}
