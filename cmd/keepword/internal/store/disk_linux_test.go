package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"keepword/inspect/history"
)

// alone runs the test that calls it in a process of its own, and is true there: a limit is
// the process's, and go test writes files too.
func alone(t *testing.T) bool {
	t.Helper()
	const mark = "KEEPWORD_TEST_ALONE"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), mark+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// limitFiles has the kernel refuse to make any file larger, as on a full disk, until the
// test calls what is returned.
func limitFiles(t *testing.T, octets uint64) (lift func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: octets, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	lift = sync.OnceFunc(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(lift)
	return lift
}

func TestAWriteThatFailsIsSaidOnceAndTriedAgain(t *testing.T) {
	if !alone(t) {
		return
	}
	path := filled(t, 100)
	s, said := open(t, path)
	lift := limitFiles(t, 4096)
	for i := range 2000 {
		s.Note(server(i), history.Seen{Kind: history.Offered, Time: start + 5000})
	}
	until(t, func() bool { return s.State().WriteErrors >= 2 })
	if st := s.State(); st.Lost || st.Entries != 2000 || !strings.Contains(st.Unwritten, "file too large") {
		t.Errorf("%+v", st)
	}
	lift()
	until(t, func() bool { return strings.Contains(said.String(), "history written again") })
	if strings.Count(said.String(), "\n") != 2 || s.State().Unwritten != "" {
		t.Errorf("said:\n%s", said)
	}
	closed(t, s)
	s, _ = open(t, path)
	defer closed(t, s)
	if n := s.State().Entries; n != 2000 {
		t.Errorf("%d entries were written", n)
	}
}

func TestANewFileThatCannotBeFinishedIsNotLeftBehind(t *testing.T) {
	if !alone(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "history.db")
	for _, octets := range []uint64{0, 4096, 5 * 4096} {
		lift := limitFiles(t, octets)
		s, said := open(t, path)
		lift()
		if !s.State().Lost || !strings.Contains(said.String(), "file too large") || !strings.Contains(said.String(), "make room on its disk") {
			t.Errorf("%d octets: %+v\n%s", octets, s.State(), said)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d octets: a part is left: %v", octets, err)
		}
		closed(t, s)
	}
}

func TestWhatCouldNotBeWrittenAtTheEndIsSaid(t *testing.T) {
	if !alone(t) {
		return
	}
	s, _ := open(t, filled(t, 100))
	lift := limitFiles(t, 4096)
	defer lift()
	s.Note(server(7000), history.Seen{Kind: history.Offered, Time: start})
	if err := s.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "file too large") {
		t.Errorf("Close says %v", err)
	}
}
