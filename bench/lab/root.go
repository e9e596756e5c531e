package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one file system of a host.
type mount struct {
	target, kind, data string
}

// mounts are what a host has besides its root and /proc. Those under /var keep the mail and
// the logs of the machine's own servers out of the lab.
var mounts = []mount{
	{"/sys", "sysfs", ""},
	{"/sys/fs/bpf", "bpf", ""},
	{"/dev", "tmpfs", "mode=755"},
	{"/dev/shm", "tmpfs", "mode=1777"},
	{"/run", "tmpfs", "mode=755"},
	{"/tmp", "tmpfs", "mode=1777"},
	{"/var/tmp", "tmpfs", "mode=1777"},
	{"/var/log", "tmpfs", "mode=755"},
	{"/var/mail", "tmpfs", "mode=755"},
	{"/var/spool", "tmpfs", "mode=755"},
}

// devices are the character devices of a host, by their fixed numbers (Linux
// Documentation/admin-guide/devices.txt).
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// accounts are the users and groups of a host: those that the servers' packages
// would have made, and one that owns the delivered mail. Numbers are the lab's own.
var accounts = []struct {
	name string
	id   int
}{
	{"root", 0}, {"daemon", 1}, {"mail", 8}, {"postfix", 5101}, {"postdrop", 5102}, {"Debian-exim", 5103},
	{"opensmtpd", 5104}, {"opensmtpq", 5105}, {mailOwner, mailOwnerID}, {"nobody", 65534}, {"nogroup", 65534},
}

// The user who owns the mail that servers deliver.
const (
	mailOwner   = "vmail"
	mailOwnerID = 5106
)

// buildRoot gives the host its file system: a copy-on-write view of the machine's
// root; what is written stays in memory. It is called in the host, once.
func (h *Host) buildRoot() error {
	// Nothing mounted here may show up on the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	base := filepath.Join(h.lab.dir, "hosts")
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	root := filepath.Join(base, "root")
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, dir := range []string{root, upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	escape := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)
	options := "lowerdir=/,upperdir=" + escape.Replace(upper) + ",workdir=" + escape.Replace(work)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	for _, m := range mounts {
		target := filepath.Join(root, m.target)
		// Some exist only in the mounts above them; sysfs makes its own.
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, target, m.kind, 0, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	// pivot_root(2): with the same directory twice the old root ends up over the
	// new one, where it can be taken off.
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the machine's root: %w", err)
	}
	if err := makeDevices(); err != nil {
		return err
	}
	return h.writeFiles()
}

// makeDevices fills the host's /dev. The machine's is kept out because of /dev/log.
func makeDevices() error {
	for _, d := range devices {
		path := "/dev/" + d.name
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // past the umask
			return err
		}
	}
	return os.Symlink("/proc/self/fd", "/dev/fd")
}

// writeFiles gives the host its name, its users and the names of its neighbours,
// and takes the machine's own keepword out of its sight.
func (h *Host) writeFiles() error {
	if err := unix.Sethostname([]byte(h.FQDN())); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	var passwd, group strings.Builder
	for _, a := range accounts {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/:/bin/sh\n", a.name, a.id, a.id)
		fmt.Fprintf(&group, "%s:x:%d:\n", a.name, a.id)
	}
	files := map[string]string{
		"/etc/hostname":      h.FQDN() + "\n",
		"/etc/mailname":      h.FQDN() + "\n",
		"/etc/hosts":         hostsFile(),
		"/etc/passwd":        passwd.String(),
		"/etc/group":         group.String(),
		"/etc/aliases":       "",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
		"/etc/resolv.conf":   "# no DNS in the lab\n",
		caPath:               string(h.lab.ca.pem),
	}
	for path, text := range files {
		if err := writeFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, path := range []string{"/etc/keepword", "/var/lib/keepword"} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
