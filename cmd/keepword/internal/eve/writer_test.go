package eve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"keepword/inspect/starttls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errFull = errors.New("no space left")

// faultyFile takes limit octets and then fails, as a disk does that fills up.
type faultyFile struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	limit int
	gate  chan struct{} // where not nil, Write waits for it to be closed
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if room := f.limit - f.buf.Len(); room < len(p) {
		f.buf.Write(p[:room])
		return room, errFull
	}
	return f.buf.Write(p)
}

func (f *faultyFile) Close() error { return nil }

func (f *faultyFile) grow(limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = limit
}

func (f *faultyFile) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.buf.String()
}

// startWriter returns a Writer on dst and what it logs, to be read after Close.
func startWriter(dst io.WriteCloser) (*Writer, *bytes.Buffer) {
	var said bytes.Buffer
	w := &Writer{path: "test", log: slog.New(slog.NewTextHandler(&said, nil))}
	w.start(&sink{dst: dst}, utc)
	return w, &said
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func countEvents(t *testing.T, text string) int {
	t.Helper()
	n := 0
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("not JSON: %q", line)
		}
		n++
	}
	return n
}

func TestTheFileIsPrivateAndItsDirectoryIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "eve.json")
	w, err := Open(path, utc, quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.Finding(aFinding())
	w.FlowEnd(aFlow())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v", info.Mode())
	}
	text, _ := os.ReadFile(path)
	if n := countEvents(t, string(text)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestAnEmptyPathSwitchesTheLogOff(t *testing.T) {
	w, err := Open("", utc, quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.Finding(aFinding())
	w.FlowEnd(aFlow())
	if err := errors.Join(w.Reopen(), w.Close()); err != nil || w.Dropped() != 0 {
		t.Errorf("%v, %d dropped", err, w.Dropped())
	}
}

func TestAPathThatCannotBeWrittenIsAnErrorThatSaysWhatToDo(t *testing.T) {
	dir := t.TempDir() // a directory where a file should be
	if _, err := Open(dir, utc, quiet()); err == nil || !strings.Contains(err.Error(), "events.path") {
		t.Errorf("%v", err)
	}
}

func TestReopenGoesOnInANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eve.json")
	w, err := Open(path, utc, quiet())
	if err != nil {
		t.Fatal(err)
	}
	w.Finding(aFinding())
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if text, _ := os.ReadFile(path); len(text) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an idle writer does not flush")
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.FlowEnd(aFlow())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path + ".1")
	after, _ := os.ReadFile(path)
	if !strings.Contains(string(before), `"alert"`) || strings.Contains(string(before), `"flow":`) {
		t.Errorf("old file: %s", before)
	}
	if !strings.Contains(string(after), `"event_type":"flow"`) {
		t.Errorf("new file: %s", after)
	}
}

func TestAFullQueueNeverBlocksAndEveryLossIsCountedAndSaidOnce(t *testing.T) {
	dst := &faultyFile{limit: 1 << 30, gate: make(chan struct{})}
	w, said := startWriter(dst)
	const sent = queueLength + 5000
	for range sent {
		w.Finding(aFinding())
	}
	dropped := w.Dropped()
	if dropped == 0 {
		t.Fatal("nothing was dropped although nothing was written")
	}
	close(dst.gate)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := uint64(countEvents(t, dst.String())); n+dropped != sent || w.Dropped() != dropped {
		t.Errorf("%d written and %d dropped of %d", n, w.Dropped(), sent)
	}
	if n := strings.Count(said.String(), "events were lost"); n != 1 {
		t.Errorf("said %d times:\n%s", n, said)
	}
}

func TestAFullDiskLeavesNoTornLineAndLosesNothingThatFitsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &faultyFile{limit: 1000} // in the middle of the second line
		w, said := startWriter(dst)
		const sent = 20
		for range sent {
			w.Finding(aFinding())
		}
		time.Sleep(5 * time.Second)
		if w.WriteErrors() < 2 {
			t.Errorf("%d failed writes in five seconds, want one a second", w.WriteErrors())
		}
		dst.grow(1 << 30)
		time.Sleep(2 * time.Second)
		if n := countEvents(t, dst.String()); n != sent {
			t.Errorf("%d events, want %d", n, sent)
		}
		if err := w.Close(); err != nil || w.Dropped() != 0 {
			t.Errorf("%v, %d dropped", err, w.Dropped())
		}
		if strings.Count(said.String(), "cannot be written") != 1 || strings.Count(said.String(), "written again") != 1 {
			t.Errorf("said:\n%s", said)
		}
	})
}

func TestADiskThatStaysFullCostsBoundedMemoryAndIsReportedAtTheEnd(t *testing.T) {
	dst := &faultyFile{limit: 0}
	w, _ := startWriter(dst)
	const sent = 2000 // more than bufferLimit holds
	for range sent {
		w.Finding(aFinding())
	}
	if err := w.Close(); err == nil {
		t.Error("Close does not tell of the loss")
	}
	if w.Dropped() != sent {
		t.Errorf("%d of %d counted as lost", w.Dropped(), sent)
	}
}

func TestARestOfALineIsNotWrittenIntoTheNextFile(t *testing.T) {
	s := &sink{dst: &faultyFile{limit: 5}}
	s.add([]byte("first line\n"))
	s.add([]byte("second\n"))
	if s.flush() == nil {
		t.Fatal("the disk is not full")
	}
	if n := s.dropTorn(); n != 1 {
		t.Errorf("%d events lost, want 1", n)
	}
	next := &faultyFile{limit: 100}
	s.dst = next
	if err := s.flush(); err != nil || next.String() != "second\n" {
		t.Errorf("%v, %q", err, next)
	}
}

func TestAnEventAfterCloseIsCountedAsDropped(t *testing.T) {
	w, _ := startWriter(&faultyFile{limit: 1 << 20})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.Finding(aFinding())
	if w.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", w.Dropped())
	}
}

func TestAStuckDestinationDoesNotKeepTheDaemonFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &faultyFile{limit: 1 << 20, gate: make(chan struct{})}
		w, _ := startWriter(dst)
		w.Finding(aFinding())
		if err := w.Close(); !errors.Is(err, ErrStuck) {
			t.Errorf("%v, want ErrStuck", err)
		}
		close(dst.gate)
		<-w.done
	})
}

func TestTheRecordIsCopiedBecauseItIsLent(t *testing.T) {
	dst := &faultyFile{limit: 1 << 20, gate: make(chan struct{})}
	w, _ := startWriter(dst)
	w.Finding(aFinding()) // occupies the writing goroutine
	r := aFlow()
	w.FlowEnd(r)
	r.RcptTo[0] = "<overwritten@example.net>"
	r.Steps[0] = starttls.StepHidden
	close(dst.gate)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text := dst.String(); strings.Contains(text, "overwritten") || strings.Contains(text, "starttls.hidden") {
		t.Errorf("%s", text)
	}
}

func TestALineThatNobodyCouldEndIsEndedBeforeTheNext(t *testing.T) {
	for before, want := range map[string]string{
		"":                    "",
		"{}\n":                "{}\n",
		"{\"timestamp\":\"20": "{\"timestamp\":\"20\n",
	} {
		path := filepath.Join(t.TempDir(), "eve.json")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Open(path, utc, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w.FlowEnd(aFlow())
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want += flowLine(t, utc, aFlow()); string(got) != want {
			t.Errorf("%q becomes %q, want %q", before, got, want)
		}
	}
}
