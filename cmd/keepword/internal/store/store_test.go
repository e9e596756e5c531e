package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"keepword/inspect/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	second = int64(1e9)
	start  = int64(1_700_000_000) * second
)

var limits = history.Breaker{Failures: 2, Retry: 24 * 3600 * second}

func server(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 25)
}

// open returns the Store of the file, and what it logs.
func open(t *testing.T, path string) (*Store, *log) {
	t.Helper()
	said := new(log)
	return Open(path, limits, slog.New(slog.NewTextHandler(said, nil))), said
}

// log is what a Store says, from whatever goroutine.
type log struct {
	mu   sync.Mutex
	text []byte
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line...)
	return len(line), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func contents(s *Store) map[netip.AddrPort]history.Record {
	all := map[netip.AddrPort]history.Record{}
	for e := range s.All() {
		all[e.Server] = e.Record
	}
	return all
}

// filled returns the path of a store of n servers, the odd ones of which refused.
func filled(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keepword", "history.db")
	s, said := open(t, path)
	for i := range n {
		s.Note(server(i), history.Seen{Kind: history.Offered, Time: start + int64(i)})
		if i%2 == 1 {
			s.Note(server(i), history.Seen{Kind: history.Refused, Time: start + int64(i) + 1, Code: 554, Text: []byte("5.7.0 no")})
		}
	}
	closed(t, s)
	if said.String() != "" {
		t.Fatal(said)
	}
	return path
}

func TestWhatIsLearnedIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "history.db")
	s, said := open(t, path)
	s.Note(server(1), history.Seen{Kind: history.Offered, Time: start, Others: 7})
	s.Note(server(1), history.Seen{Kind: history.Worked, Time: start + 1, Version: 0x0304})
	s.Note(server(2), history.Seen{Kind: history.Deaf, Time: start + 2, Text: []byte("500 \xff\x1b what?\r\n")})
	s.Note(server(3), history.Seen{Kind: history.Unoffered, Time: start + 3})
	want := contents(s)
	r := want[server(2)]
	r.Refusal.Text = "500 ?? what?  " // the file has it so that it can be printed
	want[server(2)] = r
	closed(t, s)

	s, more := open(t, path)
	defer closed(t, s)
	if got := contents(s); !maps.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if m, _ := s.Recall(netip.MustParseAddr("192.0.2.1"), server(2), start+3, true); !m.Hide {
		t.Error("the breaker has closed")
	}
	if said.String()+more.String() != "" || s.State() != (State{Entries: 3}) {
		t.Errorf("%s%s%+v", said, more, s.State())
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestWhatIsForgottenStaysForgotten(t *testing.T) {
	path := filled(t, 2000)
	s, _ := open(t, path)
	if n := s.Forget(func(a netip.AddrPort) bool { return a != server(7) }); n != 1999 {
		t.Errorf("%d forgotten", n)
	}
	closed(t, s)
	s, _ = open(t, path)
	defer closed(t, s)
	if got := contents(s); len(got) != 1 || got[server(7)].First == 0 {
		t.Errorf("%d are left", len(got))
	}
}

func TestChangesAreWrittenWithinSeconds(t *testing.T) {
	path := filled(t, 1)
	s, _ := open(t, path)
	s.Note(server(5), history.Seen{Kind: history.Offered, Time: start})
	until(t, func() bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(text), server(5).String())
	})
	closed(t, s)
}

// A Store that can't use its file remembers all the same, says why once, and leaves the
// file as it is.
func TestAFileThatCannotBeUsedIsLeftAloneAndMemoryGoesOn(t *testing.T) {
	size := func(t *testing.T, path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	setVersion := func(value string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(versionKey, []byte(value)) })
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"cut in the middle":  {func(t *testing.T, path string) { truncate(t, path, size(t, path)/2) }, "cut short"},
		"cut in its head":    {func(t *testing.T, path string) { truncate(t, path, 100) }, "cut short"},
		"cut to some octets": {func(t *testing.T, path string) { truncate(t, path, 10) }, "does not begin as a history does"},
		"a text":             {func(t *testing.T, path string) { overwrite(t, path, []byte("mode: enforce\n")) }, "does not begin as a history does"},
		"zeros":              {func(t *testing.T, path string) { overwrite(t, path, make([]byte, size(t, path))) }, "does not begin as a history does"},
		"of version 2":       {setVersion("2"), `of a version that this keepword does not know: \"2\"`},
		"of no version":      {setVersion(""), `of a version that this keepword does not know: \"\"`},
		"of another bbolt":   {func(t *testing.T, path string) { ofFormat(t, path, 3) }, "bbolt's format 3"},
		"of another program": {foreign, "not a history of keepword's"},
		"without the servers": {func(t *testing.T, path string) {
			alter(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket(serversBucket) })
		}, "servers are missing"},
		"a FIFO": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "not a history of keepword's"},
		"a directory": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t, 300)
			c.spoil(t, path)
			before := fileOctets(t, path)
			s, said := open(t, path)
			if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), c.want) || !strings.Contains(said.String(), "level=WARN") {
				t.Errorf("said:\n%s", said)
			}
			if st := s.State(); !st.Lost || st.WriteErrors != 1 || st.Entries != 0 || st.Unwritten == "" {
				t.Errorf("%+v", st)
			}
			s.Note(server(1), history.Seen{Kind: history.Offered, Time: start})
			if _, ok := s.Lookup(server(1)); !ok {
				t.Error("nothing is remembered")
			}
			closed(t, s)
			if after := fileOctets(t, path); !bytes.Equal(after, before) {
				t.Error("the file was altered")
			}
			if _, err := Load(path, true, limits, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "history "+path+": ") {
				t.Errorf("a command is told %v", err)
			}
		})
	}
}

// fileOctets returns what is in a file, nothing where it is something else.
func fileOctets(t *testing.T, path string) []byte {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func alter(t *testing.T, path string, how func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err == nil {
		err = errors.Join(db.Update(how), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func foreign(t *testing.T, path string) {
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	alter(t, path, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("somebody else's"))
		return err
	})
}

func TestASecondProcessIsToldThatTheFileIsInUse(t *testing.T) {
	path := filled(t, 3)
	first, _ := open(t, path)
	defer closed(t, first)
	second, said := open(t, path)
	defer closed(t, second)
	if !strings.Contains(said.String(), "in use by another process") || !second.State().Lost {
		t.Error(said)
	}
	if _, err := Load(path, true, limits, slog.New(slog.DiscardHandler)); !errors.Is(err, errInUse) {
		t.Error(err)
	}
}

func TestAnEntryThatCannotBeUnderstoodIsSkippedAndLeftAlone(t *testing.T) {
	path := filled(t, 10)
	bad := map[string]string{
		server(100).String(): `{"server":"10.0.0.100:25"}`,
		server(101).String(): `not JSON`,
		server(102).String(): "",
	}
	alter(t, path, func(tx *bbolt.Tx) error {
		servers := tx.Bucket(serversBucket)
		bad[server(103).String()] = string(servers.Get([]byte(server(5).String()))) // another's
		for k, v := range bad {
			if err := servers.Put([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	s, said := open(t, path)
	if st := s.State(); st.Entries != 10 || st.Skipped != 4 || st.Lost {
		t.Errorf("%+v", st)
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "entries=4") {
		t.Error(said)
	}
	closed(t, s)
	alter(t, path, func(tx *bbolt.Tx) error {
		for k, v := range bad {
			if string(tx.Bucket(serversBucket).Get([]byte(k))) != v {
				return fmt.Errorf("%s was altered", k)
			}
		}
		return nil
	})
}

func TestASurplusInTheFileIsPrunedThoseLongestUnseenFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100,000 entries")
	}
	const surplus = 1000
	path := filled(t, 1)
	f, err := openFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	const some = 2000
	for from := 0; from < MaxServers+surplus; from += some {
		var changes []change
		for i := from; i < min(from+some, MaxServers+surplus); i++ {
			changes = append(changes, Entry{server(i), history.Record{First: start, Last: start + int64(i)}}.change())
		}
		if err := f.write(changes); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, path)
	if n := s.State().Entries; n != MaxServers {
		t.Errorf("%d entries", n)
	}
	if _, ok := s.Lookup(server(surplus)); !ok {
		t.Error("one too many is forgotten")
	}
	closed(t, s)
	n := 0
	alter(t, path, func(tx *bbolt.Tx) error {
		n = tx.Bucket(serversBucket).Stats().KeyN
		return nil
	})
	if n != MaxServers {
		t.Errorf("%d entries are in the file", n)
	}
}

func TestAFileThatIsCutWhileItIsInUseEndsNothing(t *testing.T) {
	path := filled(t, 1000)
	s, said := open(t, path)
	truncate(t, path, 4096) // the mapped pages behind it are gone: reading one is SIGBUS
	for i := range 1000 {
		s.Note(server(i), history.Seen{Kind: history.Offered, Time: start + 1000})
	}
	if err := s.Close(t.Context()); !errors.Is(err, errDamaged) {
		t.Errorf("Close says %v", err)
	}
	if st := s.State(); !st.Lost || st.Entries != 1000 || !strings.Contains(said.String(), "altered while in use") {
		t.Errorf("%+v\n%s", st, said)
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * writePause); !done(); time.Sleep(writePause / 50) {
		if time.Now().After(deadline) {
			t.Fatal("not in time")
		}
	}
}

func TestAnEmptyPathIsMemoryOnlyAndNoFault(t *testing.T) {
	s, said := open(t, "")
	s.Note(server(1), history.Seen{Kind: history.Offered, Time: start})
	if st := s.State(); said.String() != "" || st.Entries != 1 || st.WriteErrors != 0 || !st.Lost {
		t.Errorf("%s%+v", said, st)
	}
	closed(t, s)
}

func TestWorkersShareAStoreWhileItIsListedMergedAndForgotten(t *testing.T) {
	s, _ := open(t, filled(t, 3000))
	var work sync.WaitGroup
	for w := range 3 {
		work.Go(func() {
			for i := range 3000 {
				now := start + int64(i)
				s.Recall(server(w).Addr(), server(i), now, true)
				s.Note(server(i), history.Seen{Kind: history.Offered, Time: now})
				s.Failed(server(w).Addr(), server(i), now)
			}
		})
	}
	work.Go(func() {
		for range 5 {
			contents(s)
			s.State()
			s.SetBreaker(limits)
			s.Merge([]Entry{{server(9999), history.Record{First: start, Last: start}}})
			s.Forget(func(a netip.AddrPort) bool { return a == server(4) })
		}
	})
	work.Wait()
	closed(t, s)
}

// BenchmarkSession is what a session asks of the Store, by several workers at once.
func BenchmarkSession(b *testing.B) {
	s := newStore(limits, slog.New(slog.DiscardHandler))
	for i := range MaxServers {
		s.Note(server(i), history.Seen{Kind: history.Offered, Time: start})
	}
	client := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			at := server(i * 7919 % MaxServers)
			s.Recall(client, at, start, true)
			s.Note(at, history.Seen{Kind: history.Offered, Time: start})
			s.Note(at, history.Seen{Kind: history.Worked, Time: start, Version: 0x0304})
		}
	})
}
