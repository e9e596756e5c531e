package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"keepword/dataplane"
)

// scene is a Bar with a clock and a terminal of 60 columns that the test holds.
type scene struct {
	*Bar
	terminal bytes.Buffer
	clock    time.Time
}

func newScene(total int64) *scene {
	s := &scene{clock: time.Unix(1e9, 0)}
	s.Bar = newBar(&s.terminal, total, func() int { return 60 }, func() time.Time { return s.clock })
	return s
}

// after lets time pass, reads so many octets and inspects so many packets.
func (s *scene) after(d time.Duration, octets, packets int) {
	s.clock = s.clock.Add(d)
	s.Inspector(idle{}).Inspect(&dataplane.Batch{Packets: make([]dataplane.Packet, packets)})
	if _, err := io.ReadFull(s.Reader(endless{}), make([]byte, octets)); err != nil {
		panic(err) // endless has no end
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type idle struct{}

func (idle) Inspect(*dataplane.Batch) {}

// screen plays what a terminal was sent and returns its lines, the last one being where
// the cursor is.
func (s *scene) screen(t *testing.T) []string {
	t.Helper()
	lines, column := []string{""}, 0
	for rest := s.terminal.String(); rest != ""; {
		last := &lines[len(lines)-1]
		switch {
		case strings.HasPrefix(rest, eraseEnd):
			*last = (*last)[:column]
			rest = rest[len(eraseEnd):]
		case rest[0] == '\r':
			column, rest = 0, rest[1:]
		case rest[0] == '\n':
			lines, column, rest = append(lines, ""), 0, rest[1:]
		default:
			if column < len(*last) {
				*last = (*last)[:column] + rest[:1] + (*last)[column+1:]
			} else {
				*last += rest[:1]
			}
			column, rest = column+1, rest[1:]
		}
	}
	return lines
}

func (s *scene) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := s.screen(t); strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("the terminal shows\n%q, not\n%q", got, lines)
	}
}

func TestALineTellsShareSpeedPacketsAndTimeLeft(t *testing.T) {
	s := newScene(200e6)
	s.after(500*time.Millisecond, 50e6, 1234567)
	s.want(t, " 25%  [###---------]  100 MB/s  1,234,567 packets  2 s left")
	s.after(500*time.Millisecond, 50e6, 0)
	s.want(t, " 50%  [######------]  100 MB/s  1,234,567 packets  1 s left")
}

func TestALineFitsItsTerminal(t *testing.T) {
	s := state{octets: 123e6, total: 1e9, packets: 4567890, spent: time.Second}
	for columns := range 200 {
		line := s.line(columns)
		if len(line) > max(columns-1, 0) {
			t.Errorf("a terminal of %d columns gets a line of %d: %q", columns, len(line), line)
		}
	}
	if got, want := s.line(50), " 12%  123 MB/s  4,567,890 packets  8 s left"; got != want {
		t.Errorf("50 columns: %q, not %q", got, want)
	}
}

func TestAnUnknownTotalHasACounter(t *testing.T) {
	s := newScene(0)
	s.after(2*time.Second, 3e6, 10)
	s.want(t, "3 MB  2 MB/s  10 packets")
}

func TestAFileThatGrowsStaysAtTheEnd(t *testing.T) {
	s := newScene(1e6)
	s.after(time.Second, 3e6, 0)
	s.want(t, "100%  [######################]  3 MB/s  0 packets  0 s left")
}

func TestItIsDrawnAtMostTenTimesASecond(t *testing.T) {
	s := newScene(1e9)
	for range 2000 { // two seconds
		s.after(time.Millisecond, 1000, 1)
	}
	if n := strings.Count(s.terminal.String(), "\r"); n < 19 || n > 20 {
		t.Errorf("it was drawn %d times in two seconds", n)
	}
}

func TestWhatIsReadAtOnceNeedsNoLine(t *testing.T) {
	s := newScene(1e6)
	s.after(interval-1, 1e6, 1000)
	s.Close()
	if s.terminal.Len() > 0 {
		t.Errorf("the terminal got %q", s.terminal.String())
	}
}

func TestLinesComeAboveIt(t *testing.T) {
	s := newScene(0)
	w := s.Above(&s.terminal)
	fmt.Fprint(w, "one\n")
	s.want(t, "one", "")
	s.after(time.Second, 5e6, 7)
	fmt.Fprint(w, "two\nthree\n")
	s.want(t, "one", "two", "three", "5 MB  5 MB/s  7 packets")
}

func TestALineThatIsNotCompleteIsNotBroken(t *testing.T) {
	s := newScene(0)
	w := s.Above(&s.terminal)
	s.after(time.Second, 5e6, 7)
	fmt.Fprint(w, "be")
	s.after(time.Second, 5e6, 7)
	s.want(t, "be")
	fmt.Fprint(w, "gun\n")
	s.after(time.Second, 5e6, 7)
	s.want(t, "begun", "15 MB  5 MB/s  21 packets")
}

func TestClosedItLeavesACleanLine(t *testing.T) {
	s := newScene(0)
	s.after(time.Second, 5e6, 7)
	s.Close()
	s.want(t, "")
	s.after(time.Second, 5e6, 7)
	fmt.Fprint(s.Above(&s.terminal), "the end\n")
	s.want(t, "the end", "")
}

func TestWhatIsNoTerminalGetsNothing(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{f, io.Discard} {
		b := On(w, 1)
		if b != nil {
			t.Fatalf("%T got a line", w)
		}
		r, i := io.Reader(endless{}), dataplane.Inspector(idle{})
		if b.Reader(r) != r || b.Inspector(i) != i || b.Above(w) != w {
			t.Error("without a line something stands in the way all the same")
		}
		b.Close()
	}
}

func TestTimeLeftIsToldInTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", time.Nanosecond: "1 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s",
		time.Hour - time.Second: "59 min 59 s", 25*time.Hour + 2*time.Minute: "25 h 2 min",
	} {
		if got := remaining(d); got != want {
			t.Errorf("%v is %q, not %q", d, got, want)
		}
	}
}
