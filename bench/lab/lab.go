// Package lab builds hosts in Linux namespaces, joins them by veth pairs, and runs
// real mail servers and clients in them:
//
//	client ── gateway ── server        Options.Box puts box between the last two
//
// A host has network, mount, process and host name namespaces of its own: its
// files are a private copy-on-write view of this machine's. Nothing that happens in a host reaches the machine,
// and a host needs no cleaning up: its namespaces have no names, and its first
// process ends, and the kernel takes everything in them away, when the program
// that made it closes the lab or dies.
//
// The package needs root and Linux 5.8, and real servers need Debian.
package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Domain is the mail domain of the lab's server. It takes mail for any local part.
const Domain = "example.test"

// Sides of the gateway and of the box: the names of their interfaces.
const (
	ClientSide = "client0"
	ServerSide = "server0"
)

// Options say what New builds.
type Options struct {
	// Box puts a host between gateway and server, for a broken middlebox.
	Box bool
}

// Lab is a set of hosts. It must be closed.
type Lab struct {
	Client, Gateway, Server *Host
	// Box is nil unless asked for.
	Box *Host

	dir   string // the repository's build/lab
	hosts []*Host
	ca    *authority
}

// New builds the hosts and their links; when it returns every host reaches every
// other one over IPv4 and IPv6.
func New(o Options) (_ *Lab, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the lab makes network namespaces: run it as root")
	}
	dir, err := buildDir()
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.ca, err = newAuthority(); err != nil {
		return nil, fmt.Errorf("make the lab's certificates: %w", err)
	}
	plan := topology(o.Box)
	for _, p := range plan {
		h, err := l.newHost(p.name)
		if err != nil {
			return nil, fmt.Errorf("build host %s: %w", p.name, err)
		}
		switch p.name {
		case "client":
			l.Client = h
		case "gateway":
			l.Gateway = h
		case "box":
			l.Box = h
		case "server":
			l.Server = h
		}
	}
	if err := l.connect(plan); err != nil {
		return nil, fmt.Errorf("join the hosts: %w", err)
	}
	return l, nil
}

// Close ends every process in the hosts and takes the hosts away. It may be called
// more than once.
func (l *Lab) Close() {
	for _, h := range l.hosts {
		h.close()
	}
	l.hosts = nil
}

// TLSConfig returns a client's configuration that trusts the lab's certificates,
// which are good for the server's name and for both its addresses.
func (l *Lab) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: l.ca.pool, ServerName: l.Server.FQDN()}
}

// Certificate returns the certificate of the lab's server, for servers of the
// caller's own.
func (l *Lab) Certificate() tls.Certificate { return l.ca.server }

// moduleRoot returns the directory that holds keepword's go.mod, at or above the
// working directory: packages' tests run in their own directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module keepword\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod of keepword here or above: run the lab inside the repository")
		}
		dir = parent
	}
}

// buildDir returns the directory in which the lab keeps what may be kept from run
// to run, and makes it if need be.
func buildDir() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "build", "lab")
	// hosts is where hosts mount their file system, each in its own mount namespace.
	return dir, os.MkdirAll(filepath.Join(dir, "hosts"), 0o755)
}

// output runs a command of this machine and returns what it printed; its error
// holds what it complained of.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}
