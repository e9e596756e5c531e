package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hostPath is where a host looks for programs. It is fixed, so that wrappers in
// the PATH of whoever runs the lab don't get in.
const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Host is one machine of the lab. Its methods may be called from any goroutine.
type Host struct {
	Name string
	// IPv4 and IPv6 are the addresses of its (first) interface.
	IPv4, IPv6 netip.Addr

	lab    *Lab
	keeper *exec.Cmd // process 1 of the host: cat, waiting for the end of its input
	alive  io.Closer // the keeper's input; the kernel closes it if this program dies
	pidfd  int       // names the keeper's namespaces
}

// FQDN returns the host's name with its domain.
func (h *Host) FQDN() string {
	if h.Name == "server" {
		return "server." + Domain
	}
	return h.Name + ".example.net"
}

// Addr returns one of the host's addresses: IPv6 or IPv4.
func (h *Host) Addr(ipv6 bool) netip.Addr {
	if ipv6 {
		return h.IPv6
	}
	return h.IPv4
}

// newHost starts a host's first process in new namespaces and builds its root.
func (l *Lab) newHost(name string) (*Host, error) {
	keeper := exec.Command("cat")
	alive, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, lab: l, keeper: keeper, alive: alive, pidfd: -1}
	keeper.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS,
		PidFD:      &h.pidfd,
	}
	if err := keeper.Start(); err != nil {
		return nil, fmt.Errorf("make namespaces: %w", err)
	}
	l.hosts = append(l.hosts, h)
	if err := h.Do(h.buildRoot); err != nil {
		return nil, err
	}
	// A thread that enters a process namespace stays out of it itself: only a child
	// can mount the /proc that shows the host's processes.
	_, err = h.Command(context.Background(), "mount", "-t", "proc", "proc", "/proc").Output()
	return h, err
}

// close ends the host. The kernel kills whatever runs in it with its process 1.
func (h *Host) close() {
	h.alive.Close()
	h.keeper.Wait()
	unix.Close(h.pidfd)
}

// Do calls f on a thread that is in the host: files that f opens, sockets and
// processes that it makes are the host's, and stay so for anyone who uses them
// later. f must do its work itself, not in goroutines that it starts.
func (h *Host) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// /proc/self speaks of the main thread, which must stay where it is.
			// Holding it keeps the next goroutine off it.
			defer runtime.UnlockOSThread()
			done <- h.Do(f)
			return
		}
		// The thread is never unlocked, so that it ends with this goroutine.
		done <- h.enter(f)
	}()
	err, ok := <-done
	if !ok {
		return fmt.Errorf("host %s: the function did not return", h.Name)
	}
	return err
}

// enter moves the calling thread into the host for good, and calls f.
func (h *Host) enter(f func() error) error {
	// A mount namespace can't be entered by a thread that shares its root and its
	// working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter host %s: %w", h.Name, err)
	}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS
	if err := unix.Setns(h.pidfd, namespaces); err != nil {
		return fmt.Errorf("enter host %s: %w", h.Name, err)
	}
	return f()
}

// Cmd is an exec.Cmd whose process starts in a host.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command returns the command that runs the named program of the host, with its
// root as working directory and a small environment. ctx's end kills the process.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	path, err := h.lookPath(name)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Err = err
	cmd.Env = []string{"PATH=" + hostPath, "HOME=/", "LC_ALL=C"}
	return &Cmd{cmd, h}
}

// lookPath finds a program as the host sees it.
func (h *Host) lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	err := h.Do(func() error {
		for _, dir := range filepath.SplitList(hostPath) {
			if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode()&0o111 != 0 {
				path = filepath.Join(dir, name)
				return nil
			}
		}
		return fmt.Errorf("host %s has no program %s: install the packages of bench/lab/packages.txt", h.Name, name)
	})
	return path, err
}

// Start is exec.Cmd's, in the host.
func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

// Run is exec.Cmd's, in the host.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// CombinedOutput is exec.Cmd's, in the host.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("lab: Stdout or Stderr already set")
	}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// Output is exec.Cmd's, in the host. Its error holds the end of standard error.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("lab: Stdout or Stderr already set")
	}
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	if err != nil {
		err = fmt.Errorf("%s in host %s: %w: %s", filepath.Base(c.Path), c.host.Name, err,
			strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), err
}

// ReadFile reads a file of the host.
func (h *Host) ReadFile(path string) (data []byte, err error) {
	err = h.Do(func() error {
		data, err = os.ReadFile(path)
		return err
	})
	return data, err
}

// WriteFile writes a file of the host, and makes the directories above it.
func (h *Host) WriteFile(path string, data []byte, mode fs.FileMode) error {
	return h.Do(func() error { return writeFile(path, data, mode) })
}

// writeFile puts a new file at path, whatever was there. No program starts meanwhile: it
// would inherit the file open for writing, and one that is written to can't be
// executed (execve(2), ETXTBSY).
func writeFile(path string, data []byte, mode fs.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, data, mode)
}

// Listen is net.Listen in the host. The address must not need a name resolved.
func (h *Host) Listen(network, addr string) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = net.Listen(network, addr)
		return err
	})
	return l, err
}

// Dial is net.Dialer.DialContext in the host. The address must be an IP address and
// port: for a name net would make its sockets in goroutines of its own.
func (h *Host) Dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("lab: dial from %s: %w", h.Name, err)
	}
	err = h.Do(func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}
