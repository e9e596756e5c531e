package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a pseudo-terminal, and what it was sent.
type screen struct {
	end *os.File // the process's
	mu  sync.Mutex
	got bytes.Buffer
}

// newScreen opens a pseudo-terminal (pts(4)).
func newScreen(t *testing.T) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there are no pseudo-terminals here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{}
	if s.end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			s.mu.Lock()
			s.got.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other end open any more
			}
		}
	}()
	return s
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// wait waits until the screen was sent something that ends as told.
func (s *screen) wait(t *testing.T, what string, is func(sent string) bool) {
	t.Helper()
	for begin := time.Now(); !is(s.String()); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("no %s on the terminal, which was sent %q", what, s.String())
		}
	}
}

// replaySlowly begins to replay a capture from a pipe, and returns when its progress is on
// the screen. The capture has no end.
func replaySlowly(t *testing.T, s *screen) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "replay", "--report", "-")
	cmd.Args[0] = "keepword" // see TestMain
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), s.end
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	capture := captureOf1999()
	feed := func(b []byte) {
		if _, err := stdin.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	feed(capture[:fileHeader])
	s.wait(t, "progress", func(sent string) bool {
		time.Sleep(10 * time.Millisecond)
		feed(capture[fileHeader:])
		return strings.HasSuffix(sent, " packets\x1b[K")
	})
	return cmd, stdin
}

const erased = "\r\x1b[K"

func TestProgressIsErasedAtTheEnd(t *testing.T) {
	s := newScreen(t)
	cmd, stdin := replaySlowly(t, s)
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s.wait(t, "erased line", func(sent string) bool { return strings.HasSuffix(sent, erased) })
}

func TestAnInterruptedReplayTellsWhatItHasReadAndLeavesACleanLine(t *testing.T) {
	s := newScreen(t)
	cmd, _ := replaySlowly(t, s)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("what comes by a pipe ends when its reader says so: %v", err)
	}
	if out := cmd.Stdout.(*bytes.Buffer).String(); !strings.Contains(out, "\nSummary: ") {
		t.Errorf("no summary: %q", out)
	}
	s.wait(t, "erased line", func(sent string) bool { return strings.HasSuffix(sent, erased) })
}

func TestAReplayThatIsInterruptedTwiceEndsAtOnce(t *testing.T) {
	s := newScreen(t)
	cmd, _ := replaySlowly(t, s)
	for i := 0; i < 2; i++ {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		s.wait(t, "erased line", func(sent string) bool { return strings.HasSuffix(sent, erased) })
	}
	cmd.Wait() // its status is looked at below
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, not as one ends that is interrupted", cmd.ProcessState)
	}
}

func TestAnErrorHasALineOfItsOwn(t *testing.T) {
	s := newScreen(t)
	cmd, stdin := replaySlowly(t, s)
	stdin.Write([]byte("no packet"))
	stdin.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("a capture that is cut short is good enough")
	}
	s.wait(t, "error", func(sent string) bool {
		_, message, _ := strings.Cut(sent, erased+"keepword: -: ")
		return strings.HasPrefix(message, "cut short after packet ") && strings.HasSuffix(sent, erased)
	})
}
