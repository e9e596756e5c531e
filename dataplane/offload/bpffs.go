package offload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BPFFS is where Linux has its BPF file system, in which what the kernel keeps for a process
// can be pinned, so that it outlives it (Documentation/filesystems, bpf; systemd mounts it
// there).
const BPFFS = "/sys/fs/bpf"

// place is a directory in a BPF file system for one network namespace. It is one process's: no
// other gets it before that one has left it, or has ended.
type place struct {
	root    string // of the file system
	dir     string
	lock    *os.File // flock(2) ends with the process, however it ends
	mounted bool     // by us
}

var (
	errHeld    = errors.New("they are another process's, which runs")
	errForeign = errors.New("it is no directory that only we may use")
)

const (
	// ours is the directory of all namespaces in the file system's root.
	ours = "keepword"
	// namespacePrefix stands before a namespace's cookie (socket(7), SO_NETNS_COOKIE), a number
	// that is no other namespace's until the next boot; its inode may be.
	namespacePrefix = "net-"
	// private is the mode of all that is made.
	private = 0o700
	// acquireTime bounds how long a directory is waited for that another process has: one that
	// is at its end, or cannot go on, or cleans up behind others.
	acquireTime  = time.Second
	acquirePause = 10 * time.Millisecond
)

// openPlace gets the place of the calling thread's network namespace. It mounts the file
// system where there is none, and waits for another process to leave, but not for long.
func openPlace(root string) (*place, error) {
	cookie, err := namespace()
	if err != nil {
		return nil, err
	}
	p := &place{root: root, dir: filepath.Join(root, ours, fmt.Sprint(namespacePrefix, cookie))}
	for until := time.Now().Add(acquireTime); ; time.Sleep(acquirePause) {
		if !isBPFFS(root) {
			// Flags and mode as systemd mounts it.
			const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME
			if err := unix.Mount("bpf", root, "bpf", flags, "mode=0700"); err != nil {
				return nil, fmt.Errorf("there is no BPF file system at %s (mount -t bpf bpf %s): %w", root, root, err)
			}
			p.mounted = true
		}
		err = p.acquire()
		if again := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errHeld); !again || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// namespace returns the cookie of the calling thread's network namespace.
func namespace() (uint64, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(s) }()
	cookie, err := unix.GetsockoptUint64(s, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("ask for the network namespace's cookie: %w", err)
	}
	return cookie, nil
}

func isBPFFS(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && uint32(s.Type) == unix.BPF_FS_MAGIC
}

// acquire makes the directory, and locks it. It returns fs.ErrNotExist where somebody has removed
// it at the same time.
func (p *place) acquire() error {
	for _, dir := range []string{filepath.Dir(p.dir), p.dir} {
		if err := os.Mkdir(dir, private); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Others may have made it before us, where they may write to the root.
		var s unix.Stat_t
		if err := unix.Lstat(dir, &s); err != nil {
			return fmt.Errorf("look at %s: %w", dir, err)
		}
		if s.Mode&unix.S_IFMT != unix.S_IFDIR || int(s.Uid) != os.Geteuid() || s.Mode&0o777&^private != 0 {
			return fmt.Errorf("%s: %w", dir, errForeign)
		}
	}
	lock, err := lockDir(p.dir)
	p.lock = lock
	return err
}

// lockDir locks a directory. It returns errHeld where another process has it, and fs.ErrNotExist,
// wrapped, where it is not there any more.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%s: %w", dir, errHeld)
	}
	var now, locked os.FileInfo
	if err == nil {
		locked, err = f.Stat()
	}
	if err == nil { // who held the lock may have removed it, and another made a new one
		now, err = os.Lstat(dir)
	}
	if err == nil && !os.SameFile(now, locked) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// leave gives the place back, and removes of it what is empty.
func (p *place) leave() {
	if p.lock != nil {
		_ = os.Remove(p.dir)
		_ = p.lock.Close()
	}
	_ = os.Remove(filepath.Dir(p.dir))
	if !p.mounted {
		return
	}
	// What has a dot in its name is the kernel's own.
	others := func(e fs.DirEntry) bool { return !strings.Contains(e.Name(), ".") }
	if entries, err := os.ReadDir(p.root); err == nil && !slices.ContainsFunc(entries, others) {
		_ = unix.Unmount(p.root, 0) // it stays where somebody uses it
	}
}
