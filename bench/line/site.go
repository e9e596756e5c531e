package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
	"keepword/bench/line/load"
)

// Where the programs are in the hosts.
const (
	ownProgram      = "/usr/local/bin/line"
	keepwordProgram = "/usr/local/bin/keepword"
)

// site is the three hosts.
type site struct {
	*lab.Lab
	ipv6 bool
	// pipelining is how the clients speak.
	pipelining bool
}

// newSite builds the hosts, and keepword from this tree. It must be closed.
func newSite(ctx context.Context) (_ *site, err error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	s := &site{Lab: l}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	keepword, err := buildKeepword(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		l.Client.WriteFile(ownProgram, own, 0o755),
		l.Gateway.WriteFile(ownProgram, own, 0o755),
		l.Server.WriteFile(ownProgram, own, 0o755),
		l.Gateway.WriteFile(keepwordProgram, keepword, 0o755),
		l.Client.Do(manyPorts),
	); err != nil {
		return nil, err
	}
	return s, nil
}

// buildKeepword builds the program of this tree as the Makefile does, and returns it.
func buildKeepword(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "keepword-line-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "keepword")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "keepword/cmd/keepword")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build keepword: %w\n%s", err, out)
	}
	return os.ReadFile(program)
}

// manyPorts gives the calling thread's host ports for thousands of sessions a second: all
// that are not well known, each again a second after it was left (Linux
// Documentation/networking/ip-sysctl.rst).
func manyPorts() error {
	for key, value := range map[string]string{
		"net/ipv4/ip_local_port_range": "1024 65535",
		"net/ipv4/tcp_tw_reuse":        "1",
	} {
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// run holds sessions of a workload through the gateway for a time, with a server that is
// there for it. The readings are taken at the ends of the window.
func (s *site) run(ctx context.Context, w load.Workload, warm, window time.Duration, read func() error) (f load.Figures, err error) {
	// Sessions that were begun in the window end in their own time, which is bounded.
	const grace = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, warm+window+grace)
	defer cancel()
	near, far := processors()
	server, err := startOn(ctx, s.Server, far, ownProgram, "server")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	if err := server.await(ctx, readyLine); err != nil {
		return f, err
	}
	to := netip.AddrPortFrom(s.Server.Addr(s.ipv6), smtpPort)
	c, err := startOn(ctx, s.Client, near, ownProgram, clientArgs(to, w, warm, window, s.pipelining)...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for _, mark := range []string{beginLine, endLine} {
		if err := c.await(ctx, mark); err != nil {
			return f, err
		}
		if err := read(); err != nil {
			return f, err
		}
	}
	text, err := c.line(ctx)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return f, fmt.Errorf("the client's figures are not what they should be: %w\n%s", err, text)
	}
	return f, nil
}

// processors are those of the client and of the server: the first two of this machine. Where there
// is only one they share it.
func processors() (client, server *unix.CPUSet) {
	if runtime.NumCPU() < 2 {
		return nil, nil
	}
	client, server = new(unix.CPUSet), new(unix.CPUSet)
	client.Set(0)
	server.Set(1)
	return client, server
}
