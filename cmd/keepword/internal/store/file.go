package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// version is that of the file: of the two buckets, and of the objects in the second.
const version = "1"

var (
	metaBucket    = []byte("keepword") // versionKey -> version
	versionKey    = []byte("version")
	serversBucket = []byte("servers") // address and port, as text -> an Entry's JSON
)

var (
	// errVersion is in the error for a file that another version of keepword wrote.
	errVersion = errors.New("of a version that this keepword does not know")
	// errForeign is in the error for a file that is no history.
	errForeign = errors.New("not a history of keepword's")
	// errInUse is in the error for a file that another process has locked.
	errInUse = errors.New("in use by another process")
	// errEmpty is in the error for a file without octets that is only to be read.
	errEmpty = errors.New("empty")
)

// lockTime is how long a lock is waited for: a command needs the file for less.
const lockTime = 2 * time.Second

// file is an open store file. Its methods return an error with errDamaged where it turns
// out to be damaged; it must not be used or closed then.
type file struct {
	path string
	db   *bbolt.DB
}

// openFile opens a store, and makes one where there is none and it may. One that can't be
// used is left as it is. The error says what to do.
func openFile(path string, readOnly bool) (*file, error) {
	f, err := tryFile(path, readOnly)
	if err != nil {
		return nil, fmt.Errorf("history %s: %w: %s", path, plainer(err), remedy(err))
	}
	return f, nil
}

// plainer leaves out of an error what names the file, as we do that.
func plainer(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func remedy(err error) string {
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, errForeign), errors.Is(err, errVersion):
		return "it is left as it is; move it away, and keepword begins a new one"
	case errors.Is(err, errInUse):
		return "end that process, or set history.path"
	case errors.Is(err, errEmpty), errors.Is(err, fs.ErrNotExist):
		return "nothing has been remembered there; name another with history.path in the file of -c"
	}
	return "make room on its disk and let keepword write there, or set history.path"
}

func tryFile(path string, readOnly bool) (*file, error) {
	if !readOnly {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	fresh := false
	opt := &bbolt.Options{
		ReadOnly: readOnly,
		Timeout:  lockTime,
		// The list of free pages is made when the file is opened: one thing less to
		// write each time, and one thing less to be wrong.
		NoFreelistSync: true,
		NoStatistics:   true,
		OpenFile: func(name string, flags int, mode os.FileMode) (f *os.File, err error) {
			f, fresh, err = openSound(name, flags, mode, readOnly)
			return f, err
		},
	}
	var f *file
	err := guarded(func() error {
		db, err := bbolt.Open(path, 0o600, opt)
		if err != nil {
			return err
		}
		f = &file{path, db}
		if fresh {
			err = f.begin()
		} else {
			err = f.check()
		}
		if err != nil {
			return errors.Join(err, db.Close())
		}
		return nil
	})
	if err != nil && fresh {
		os.Remove(path) // a new one that could not be finished
	}
	return f, err
}

// openSound opens and locks a file, and returns it where bbolt can be trusted with it:
// where it is sound, or fresh, which is to say empty.
func openSound(name string, flags int, mode os.FileMode, readOnly bool) (f *os.File, fresh bool, err error) {
	// Without O_NONBLOCK a FIFO would stop us here.
	f, err = os.OpenFile(name, flags|unix.O_NONBLOCK, mode)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%w, nor any file", errForeign)
	}
	if err := lock(f, readOnly); err != nil {
		return nil, false, err
	}
	if info, err = f.Stat(); err != nil { // what the other left
		return nil, false, err
	}
	if info.Size() > 0 {
		return f, false, sound(f, info.Size())
	}
	if readOnly {
		return nil, false, errEmpty
	}
	return f, true, nil
}

// lock takes the lock that bbolt takes again: it is the open file's.
func lock(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	const pause = 20 * time.Millisecond
	for range lockTime / pause {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(pause)
	}
	return errInUse
}

// guarded does work with a mapped file. Where the file is altered by somebody else
// meanwhile, bbolt panics or its memory faults: that becomes an error.
func guarded(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged("altered while in use (%v)", r)
		}
	}()
	return work()
}

// begin makes the buckets of a new file.
func (f *file) begin() error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(serversBucket); err != nil {
			return err
		}
		return meta.Put(versionKey, []byte(version))
	})
}

// check sees to it that the file is one that we can read.
func (f *file) check() error {
	return f.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return errForeign
		}
		if v := meta.Get(versionKey); string(v) != version {
			const longest = 20
			return fmt.Errorf("%w: %.*q", errVersion, longest, v)
		}
		if tx.Bucket(serversBucket) == nil {
			return damaged("the servers are missing")
		}
		return nil
	})
}

// each calls visit for every entry, with octets that are lent for the call.
func (f *file) each(visit func(key, value []byte)) error {
	return guarded(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(serversBucket).ForEach(func(k, v []byte) error {
				visit(k, v)
				return nil
			})
		})
	})
}

// change is an entry to be written: no value deletes it.
type change struct {
	key, value []byte
}

// write writes all changes, or none.
func (f *file) write(changes []change) error {
	return guarded(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			servers := tx.Bucket(serversBucket)
			for _, c := range changes {
				if c.value == nil {
					if err := servers.Delete(c.key); err != nil {
						return err
					}
				} else if err := servers.Put(c.key, c.value); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// close ends the use of the file.
func (f *file) close() error { return guarded(f.db.Close) }
