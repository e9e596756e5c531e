package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// debianPackages are the real servers that Provide knows. They conflict with one
// another and with whatever mail server the machine runs, so they are unpacked in
// hosts and never installed.
var debianPackages = map[string]struct {
	name string
	// backport takes the package from Debian 12's backports where the machine is one.
	backport bool
}{
	"postfix": {name: "postfix"},
	"exim":    {name: "exim4-daemon-light"},
	// Debian 12's own 6.8.0p2 offers STARTTLS, says 220 and fails every handshake,
	// because it was built against OpenSSL 3 (OpenSMTPD issues 1171 and 1239).
	"opensmtpd":     {name: "opensmtpd", backport: true},
	"opensmtpd-6.8": {name: "opensmtpd"},
}

// Provide returns the Debian package files of a real server, one of ServerKinds: its
// own, and those of the libraries that this machine lacks. It downloads them the
// first time and keeps them in build/lab.
func Provide(ctx context.Context, name string) ([]string, error) {
	pkg, ok := debianPackages[name]
	if !ok {
		return nil, fmt.Errorf("no server named %q: use one of %s", name, strings.Join(ServerKinds, ", "))
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("getting %s from Debian needs root", name)
	}
	dir, err := buildDir()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()

	debs := filepath.Join(dir, "debs", name)
	if _, err := os.Stat(debs); errors.Is(err, os.ErrNotExist) {
		if _, err := exec.LookPath("apt-get"); err != nil {
			return nil, fmt.Errorf("%s is taken from Debian's packages, and this machine has no apt-get: run the lab on Debian", name)
		}
		a := &apt{dir: filepath.Join(dir, "apt"), private: pkg.backport && onBookworm()}
		if err := a.download(ctx, pkg.name, debs); err != nil {
			return nil, fmt.Errorf("download %s: %w", name, err)
		}
	}
	return filepath.Glob(filepath.Join(debs, "*.deb"))
}

// lock waits until no other program holds the lock file, and takes it.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// apt runs Debian's package tools, on this machine's own package lists or, where
// private, on a list of backports that is kept in dir and that the machine's
// administrator never sees.
type apt struct {
	dir     string
	private bool
}

// bookworm is Debian 12's code name.
const bookworm = "bookworm"

// onBookworm says whether this machine is a Debian 12.
func onBookworm() bool {
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && strings.Contains(string(release), "VERSION_CODENAME="+bookworm+"\n")
}

// run calls an apt program in a directory and returns what it printed.
func (a *apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	if a.private {
		args = append([]string{
			"-oDir::Etc::SourceList=" + filepath.Join(a.dir, "sources.list"),
			"-oDir::Etc::SourceParts=-",
			"-oDir::State::Lists=" + filepath.Join(a.dir, "lists"),
			"-oDir::Cache=" + filepath.Join(a.dir, "cache"),
			"-oAPT::Default-Release=" + bookworm + "-backports",
		}, args...)
	}
	return output(ctx, dir, name, args...)
}

// update fetches the package lists.
func (a *apt) update(ctx context.Context) error {
	if a.private {
		site, err := archive(ctx)
		if err != nil {
			return err
		}
		list := fmt.Sprintf("deb %[1]s %[2]s main\ndeb %[1]s %[2]s-backports main\n", site, bookworm)
		if err := writeFile(filepath.Join(a.dir, "sources.list"), []byte(list), 0o644); err != nil {
			return err
		}
		for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
			if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
				return err
			}
		}
	}
	_, err := a.run(ctx, "", "apt-get", "update", "-q")
	return err
}

// archive returns the address of the Debian archive that this machine uses: the
// backports are there too.
func archive(ctx context.Context) (string, error) {
	for range 2 {
		sites, err := output(ctx, "", "apt-get", "indextargets", "--format", "$(REPO_URI)",
			"Created-By: Packages", "Origin: Debian", "Codename: "+bookworm)
		if err != nil {
			return "", err
		}
		if site, _, _ := strings.Cut(sites, "\n"); site != "" {
			return site, nil
		}
		// Whose archive it is, apt knows only after an update.
		if _, err := output(ctx, "", "apt-get", "update", "-q"); err != nil {
			return "", err
		}
	}
	return "", errors.New("apt's sources name no Debian archive: add one")
}

// download fills dir with a package and what it lacks. There is no dir unless all
// went well.
func (a *apt) download(ctx context.Context, pkg, dir string) error {
	partial := dir + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755)); err != nil {
		return err
	}
	get := func() error {
		packages, err := a.missing(ctx, pkg)
		if err != nil {
			return err
		}
		_, err = a.run(ctx, partial, "apt-get", append([]string{"download", "-q"}, packages...)...)
		return err
	}
	if get() != nil {
		// There are no package lists yet, or they are older than the archive.
		if err := a.update(ctx); err != nil {
			return err
		}
		if err := get(); err != nil {
			return err
		}
	}
	return os.Rename(partial, dir)
}

// missing returns pkg and the libraries that it needs and this machine lacks. What
// else Debian's packages depend on (configuration helpers, cron) the lab leaves out.
func (a *apt) missing(ctx context.Context, pkg string) ([]string, error) {
	packages := []string{pkg}
	seen := map[string]bool{pkg: true}
	for i := 0; i < len(packages); i++ {
		out, err := a.run(ctx, "", "apt-cache", "depends", "--important", packages[i])
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
			if !ok || !strings.HasPrefix(name, "lib") || seen[name] {
				continue
			}
			seen[name] = true
			status, err := output(ctx, "", "dpkg-query", "-W", "-f=${db:Status-Status}", name)
			if err != nil || status != "installed" { // dpkg-query fails for a name that it never saw
				packages = append(packages, name)
			}
		}
	}
	return packages, nil
}

// install unpacks a real server into the host, over what the machine has of it.
func (h *Host) install(ctx context.Context, name string) error {
	debs, err := Provide(ctx, name)
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := h.unpack(ctx, deb); err != nil {
			return fmt.Errorf("unpack %s in host %s: %w", filepath.Base(deb), h.Name, err)
		}
	}
	return nil
}

// unpack does what dpkg -x does, but follows links from /lib to /usr/lib where the
// machine has them, instead of replacing them by directories.
func (h *Host) unpack(ctx context.Context, deb string) error {
	tarball := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	untar := h.Command(ctx, "tar", "-x", "--keep-directory-symlink", "-C", "/")
	pipe, err := tarball.StdoutPipe()
	if err != nil {
		return err
	}
	untar.Stdin = pipe
	if err := tarball.Start(); err != nil {
		return err
	}
	_, err = untar.Output()
	return errors.Join(err, tarball.Wait())
}
