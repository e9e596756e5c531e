package terminal

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pseudoTerminal returns a terminal of a size that shows nobody anything.
func pseudoTerminal(t *testing.T, columns, rows uint16) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	return tty
}

func TestATerminalIsPaintedUnlessItIsDumbOrColourIsNotWanted(t *testing.T) {
	tty := pseudoTerminal(t, 100, 30)
	if columns, rows := Size(tty); !Is(tty) || columns != 100 || rows != 30 {
		t.Errorf("a terminal of 100 x 30 is one: %v, %d x %d", Is(tty), columns, rows)
	}
	for _, c := range []struct {
		term, noColor string
		want          bool
	}{{"xterm", "", true}, {"xterm", "1", false}, {"dumb", "", false}} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColor)
		if got := InkFor(tty) == Colored(); got != c.want {
			t.Errorf("TERM=%s NO_COLOR=%s paints: %v", c.term, c.noColor, got)
		}
	}
}

func TestATerminalThatDoesNotSayItsSizeHasTheUsualOne(t *testing.T) {
	if columns, rows := Size(pseudoTerminal(t, 0, 0)); columns != UsualColumns || rows != UsualRows {
		t.Errorf("%d x %d", columns, rows)
	}
}
