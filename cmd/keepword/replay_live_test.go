package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// paper is what a command has written so far.
type paper struct {
	mu  sync.Mutex
	got bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.String()
}

// wait waits until text was written.
func (p *paper) wait(t *testing.T, text string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(p.String(), text); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("no %q in %q", text, p.String())
		}
	}
}

func TestSessionsOfAPipeAreToldWhenTheyEndAndNotAtItsEnd(t *testing.T) {
	for flag, want := range map[string][2]string{
		"--json":   {`"finding":["answered-for-server"]`, `"starttls.outcome":"broken"`},
		"--report": {"finding   answered-for-server", "outcome   broken"},
	} {
		capture, feed := io.Pipe()
		out, code := &paper{}, make(chan int)
		go func() {
			code <- execute(t.Context(), &env{stdin: capture, stdout: out, stderr: io.Discard, args: []string{"replay", flag, "-"}})
		}()
		for b := captureOf1999(); len(b) > 0; {
			n := min(len(b), 50) // cuts most packets in two
			if _, err := feed.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		out.wait(t, want[0])
		out.wait(t, want[1])
		if strings.Contains(out.String(), "Summary:") {
			t.Error("the summary comes before the end")
		}
		feed.Close()
		if c := <-code; c != exitDone {
			t.Errorf("exit code %d", c)
		}
		if strings.Contains(out.String(), "Summary:") != (flag == "--report") {
			t.Errorf("%s: after the end: %q", flag, out)
		}
	}
}
