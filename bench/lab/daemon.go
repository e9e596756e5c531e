package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a program may take to start and to stop, on a busy machine.
const (
	startTime = 20 * time.Second
	stopTime  = 10 * time.Second
)

// daemon is a program that runs in a host until it is told to stop.
type daemon struct {
	name string
	cmd  *Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

// startDaemon runs a command in the background; its output goes where cmd says.
func startDaemon(name string, cmd *Cmd) (*daemon, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d := &daemon{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		d.err = cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// ended says whether the daemon runs no more.
func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// stop asks the daemon to end and waits for it.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(stopTime):
		d.cmd.Process.Kill()
		<-d.done
		return fmt.Errorf("%s did not end %v after SIGTERM", d.name, stopTime)
	}
}

// awaitLine waits until log has seen the line by which the daemon says that it works.
func (d *daemon) awaitLine(ctx context.Context, log *logBuffer) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case <-log.seen:
		return nil
	case <-d.done:
		return fmt.Errorf("%s ended as it started: %w\n%s", d.name, d.err, log)
	case <-ctx.Done():
		return fmt.Errorf("%s does not say that it is ready: %w\n%s", d.name, ctx.Err(), log)
	}
}

// logBuffer keeps what is written to it, and closes seen at the first line of which
// match says yes.
type logBuffer struct {
	seen  chan struct{}
	match func(line string) bool

	mu    sync.Mutex
	text  bytes.Buffer
	found bool
	read  int // octets of text that are whole lines and were matched
}

func newLogBuffer(match func(line string) bool) *logBuffer {
	return &logBuffer{seen: make(chan struct{}), match: match}
}

// Write takes the next part of the log.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.text.Write(p)
	for !b.found {
		line, _, whole := strings.Cut(string(b.text.Bytes()[b.read:]), "\n")
		if !whole {
			break
		}
		b.read += len(line) + 1
		if b.found = b.match(line); b.found {
			close(b.seen)
		}
	}
	return n, err
}

// String returns all that was written.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
