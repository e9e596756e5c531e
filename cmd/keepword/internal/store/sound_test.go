package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// ofFormat makes a file one of another format of bbolt's, with right checksums.
func ofFormat(t *testing.T, path string, format uint32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		raw := data[i*os.Getpagesize()+headerSize:][:metaSize]
		binary.NativeEndian.PutUint32(raw[4:], format)
		reseal(raw)
	}
	overwrite(t, path, data)
}

// reseal makes the checksum of meta data right.
func reseal(raw []byte) {
	sum := fnv.New64a()
	sum.Write(raw[:metaSummed])
	binary.NativeEndian.PutUint64(raw[metaSummed:], sum.Sum64())
}

// Entries come and go by the dozen and by the hundred, and after each time the file is sound.
func TestWhatBboltWritesIsSound(t *testing.T) {
	path := filled(t, 0)
	soundFile(t, path)
	rapid.Check(t, func(r *rapid.T) {
		f, err := openFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		from, n := rapid.IntRange(0, 2000).Draw(r, "from"), rapid.IntRange(1, 1000).Draw(r, "entries")
		keep := rapid.Bool().Draw(r, "keep")
		var changes []change
		for i := from; i < from+n; i++ {
			c := Entry{server(i), aRecord()}.change()
			if !keep {
				c.value = nil
			}
			changes = append(changes, c)
		}
		if err := errors.Join(f.write(changes), f.close()); err != nil {
			t.Fatal(err)
		}
		soundFile(t, path)
	})
}

func soundFile(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = sound(bytes.NewReader(data), int64(len(data)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to the octets of a file, it is refused or can be read and written: bbolt
// never panics, faults or hangs on one that is called sound.
func TestAnAlteredFileIsRefusedOrCanBeUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("opens hundreds of files")
	}
	good, err := os.ReadFile(filled(t, 400))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	dir := t.TempDir()
	refused, used := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(good)
		for range rapid.IntRange(1, 4).Draw(t, "faults") {
			// Most faults go where the structure is: at the beginning of a page.
			at := rapid.IntRange(0, len(data)/page-1).Draw(t, "page")*page +
				rapid.OneOf(rapid.IntRange(0, 31), rapid.IntRange(0, 160), rapid.IntRange(0, page-9)).Draw(t, "offset")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 1:
				data[at] = rapid.Byte().Draw(t, "octet")
			case 2: // a number that looks like a page
				binary.NativeEndian.PutUint64(data[at&^7:], rapid.Uint64Range(0, 40).Draw(t, "number"))
			case 3: // a page in another's place
				from := rapid.IntRange(0, len(data)/page-1).Draw(t, "from")
				copy(data[at/page*page:][:page], data[from*page:])
			}
		}
		if rapid.Bool().Draw(t, "seal") { // so that what the meta data say is believed
			reseal(data[headerSize:][:metaSize])
			reseal(data[page+headerSize:][:metaSize])
		}
		if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			data = data[:rapid.IntRange(1, len(data)).Draw(t, "size")]
		}
		path := filepath.Join(dir, "history.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(path, false, limits, slog.New(slog.DiscardHandler))
		if err != nil {
			refused++
			return
		}
		used++
		s.Merge([]Entry{{server(7), aRecord()}, {server(100_000), aRecord()}})
		if err := s.Close(context.Background()); err != nil {
			t.Fatalf("taken for sound, and then: %v", err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				t.Errorf("after writing: %v", err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	if refused == 0 || used == 0 {
		t.Errorf("%d refused, %d used: the test shows nothing", refused, used)
	}
	t.Logf("%d refused, %d used", refused, used)
}

func TestAReadErrorIsNoDamage(t *testing.T) {
	if err := sound(failing{}, 1<<20); err != errDisk {
		t.Error(err)
	}
}

type failing struct{}

var errDisk = io.ErrClosedPipe

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errDisk }
