package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"keepword/bench/lab"
)

// How long a program may take to start, to stop, and to say its next line, on a busy
// machine.
const (
	startLimit = 30 * time.Second
	stopLimit  = 10 * time.Second
)

// child is a program that runs in a host. Its lines are those of its standard output and
// of its standard error, in any order.
type child struct {
	name  string
	cmd   *lab.Cmd
	lines chan string // closed when there are no more
	said  bytes.Buffer
	done  chan struct{} // closed when it has ended
	err   error         // how it ended; read after done
}

// start runs a command in the background. The end of ctx asks it to end, and kills it
// stopLimit later.
func start(ctx context.Context, h *lab.Host, name string, args ...string) (*child, error) {
	return startOn(ctx, h, nil, name, args...)
}

// startOn is start, on these processors only where cpus is not nil.
func startOn(ctx context.Context, h *lab.Host, cpus *unix.CPUSet, name string, args ...string) (*child, error) {
	cmd := h.Command(ctx, name, args...)
	c := &child{name: filepath.Base(name), cmd: cmd, lines: make(chan string, 1), done: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	err = h.Do(func() error {
		// The process has its processors of the thread that starts it, which ends after.
		if cpus != nil {
			if err := unix.SchedSetaffinity(0, cpus); err != nil {
				return fmt.Errorf("choose processors: %w", err)
			}
		}
		return cmd.Cmd.Start()
	})
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s on %s: %w", c.name, h.Name, err)
	}
	go func() {
		defer r.Close()
		defer close(c.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// pid is the process's number, as this process sees it.
func (c *child) pid() int { return c.cmd.Process.Pid }

// line returns the next line.
func (c *child) line(ctx context.Context) (string, error) {
	select {
	case text, ok := <-c.lines:
		if ok {
			c.said.WriteString(text + "\n")
			return text, nil
		}
		<-c.done
		return "", fmt.Errorf("%s ended: %w\n%s", c.name, errors.Join(c.err, context.Cause(ctx)), c.said.String())
	case <-ctx.Done():
		return "", fmt.Errorf("%s has not said what it was to say: %w\n%s", c.name, context.Cause(ctx), c.said.String())
	}
}

// await waits for a line that ends with the text. Nobody reads the lines behind it: those
// of a program that says more are to be drained.
func (c *child) await(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		line, err := c.line(ctx)
		if err != nil {
			return err
		}
		if strings.HasSuffix(line, text) {
			return nil
		}
	}
}

// drain reads what the program says from now on, for the error that stop may return.
func (c *child) drain() {
	go func() {
		for text := range c.lines {
			c.said.WriteString(text + "\n")
		}
	}()
}

// stop asks the program to end and waits for it. That it ends by the signal is no error, nor
// that start's context has asked it before.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.done:
	case <-time.After(stopLimit):
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end %v after SIGTERM", c.name, stopLimit)
	}
	if c.err == nil || errors.Is(c.err, context.Canceled) || c.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return nil
	}
	return fmt.Errorf("%s: %w", c.name, c.err)
}
