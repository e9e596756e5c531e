package eve

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"keepword/inspect"
)

const (
	// maxDelay is how long a flow event waits for others, to be written with them. An
	// alert does not wait, and takes with it what does.
	maxDelay = 20 * time.Millisecond
	// patience bounds how long Close and Reopen wait for a destination that takes
	// no writes, so that a stuck disk or pipe does not keep the daemon from ending.
	patience = 3 * time.Second
)

// Writer writes events to a file or to stdout from a goroutine of its own. Its
// Finding and FlowEnd never block on the destination: what does not fit into the
// queue is counted and lost. They may be called from several goroutines.
//
// A destination that fails, a full disk for example, is tried again every second;
// meanwhile up to 256 KiB of events are kept, and more are counted and lost.
type Writer struct {
	path  string // "" where the log is off, "-" for stdout
	log   *slog.Logger
	queue *queue
	swap  chan reopened // from Reopen
	done  chan struct{} // closed when the goroutine has ended

	overflow    atomic.Uint64 // events that found the queue full, or closed
	lost        atomic.Uint64 // events that the destination did not take
	writeErrors atomic.Uint64

	unwritten uint64 // of lost, those that still waited at the end; set before done is closed
}

var _ inspect.Sink = (*Writer)(nil)

// Open starts a Writer. path is a file, appended to and created with mode 0640, its
// directory made if it is missing; "-" is stdout; "" switches the log off. log takes
// the few messages about the log itself.
func Open(path string, opt Options, log *slog.Logger) (*Writer, error) {
	w := &Writer{path: path, log: log}
	if path == "" {
		return w, nil
	}
	f := os.Stdout
	if path != "-" {
		var err error
		if f, err = openFile(path); err != nil {
			return nil, err
		}
	}
	w.start(&sink{dst: f, keep: path == "-", ragged: ragged(path)}, opt)
	return w, nil
}

func openFile(path string) (*os.File, error) {
	// The directory is as closed to others as the file: events name people.
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("events: make the directory of %s, or set events.path: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("events: make %s writable, or set events.path: %w", path, err)
	}
	return f, nil
}

// ragged says whether the file at path ends in the middle of a line, as a full disk leaves it
// where nobody could end the line any more.
func ragged(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false // reading a FIFO would take from its reader
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	end, last := int64(0), make([]byte, 1)
	if end, err = f.Seek(0, io.SeekEnd); err != nil || end == 0 {
		return false
	}
	_, err = f.ReadAt(last, end-1)
	return err == nil && last[0] != '\n'
}

func (w *Writer) start(out *sink, opt Options) {
	w.queue = newQueue()
	w.swap = make(chan reopened)
	w.done = make(chan struct{})
	go w.run(out, newEncoder(opt))
}

// Finding queues a copy of r, which is written at once.
func (w *Writer) Finding(r *inspect.FindingRecord) {
	if w.queue != nil && !w.queue.putFinding(r) {
		w.overflow.Add(1)
	}
}

// FlowEnd queues a copy of r, which is written within 20 milliseconds.
func (w *Writer) FlowEnd(r *inspect.FlowRecord) {
	if w.queue != nil && !w.queue.putFlow(r) {
		w.overflow.Add(1)
	}
}

// Dropped returns the number of events that were not written and never will be:
// those that found the queue full and those that the destination did not take.
func (w *Writer) Dropped() uint64 { return w.overflow.Load() + w.lost.Load() }

// WriteErrors returns the number of writes that failed. A failed write loses nothing
// by itself: what is left of it is tried again.
func (w *Writer) WriteErrors() uint64 { return w.writeErrors.Load() }

// ErrStuck is returned by Close and Reopen when the destination takes no writes.
var ErrStuck = errors.New("the destination takes no writes")

// reopened is a new file, and the number of the first batch for it.
type reopened struct {
	file *os.File
	from uint64
}

// Reopen opens the path again and goes on there, so that a log can be rotated by
// renaming it (SIGUSR1). On an error the Writer stays with the file that it has. It
// does nothing for stdout or a log that is off. It must not be called after Close.
func (w *Writer) Reopen() error {
	if w.path == "" || w.path == "-" {
		return nil
	}
	f, err := openFile(w.path)
	if err != nil {
		return err
	}
	select {
	case w.swap <- reopened{f, w.queue.seal()}:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("events: reopen %s: %w", w.path, ErrStuck), f.Close())
	}
}

// Close writes what is queued and closes the file. Events that come later are
// counted as dropped. The error says how many events could not be written at the end; what
// was lost before, and said, is no reason for one.
func (w *Writer) Close() error {
	if w.queue == nil {
		return nil
	}
	w.queue.close()
	select {
	case <-w.done:
	case <-time.After(patience):
		return fmt.Errorf("events: %s: %w; %d events are still queued", w.path, ErrStuck, w.queue.length())
	}
	if w.unwritten > 0 {
		return fmt.Errorf("events: the last %d events could not be written to %s; see whether its disk is full", w.unwritten, w.path)
	}
	return nil
}

// run encodes and writes until the queue is closed and empty.
func (w *Writer) run(out *sink, enc *encoder) {
	defer close(w.done)
	const retryEvery = time.Second
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	due := time.NewTimer(maxDelay) // what waits must be written
	defer due.Stop()
	said := uint64(0)    // overflows already reported
	var batches []*batch // memory
	for closed := false; !closed; {
		select {
		case <-w.queue.begun:
			due.Reset(maxDelay)
			continue
		case next := <-w.swap:
			w.write(out, enc, w.queue.takeSealed(batches[:0], next.from))
			w.flush(out)
			w.lost.Add(out.dropTorn())
			out.close()
			out.dst, out.keep, out.ragged = next.file, false, ragged(w.path)
			w.flush(out)
			continue
		case <-w.queue.now:
		case <-due.C:
		case <-retry.C:
			w.flush(out)
		}
		batches, closed = w.queue.take(batches[:0])
		w.write(out, enc, batches)
		if !out.failing {
			w.flush(out)
		}
		if w.queue.length() == 0 {
			w.sayOverflow(&said)
		}
	}
	w.flush(out)
	w.unwritten = out.abandon()
	w.lost.Add(w.unwritten)
	w.sayOverflow(&said)
	out.close()
}

// write encodes the records of batches into out, and releases these.
func (w *Writer) write(out *sink, enc *encoder, batches []*batch) {
	for _, b := range batches {
		w.add(out, enc, b)
		w.queue.release(b)
	}
	clear(batches)
}

// add encodes b's records, and writes wherever out is full of them.
func (w *Writer) add(out *sink, enc *encoder, b *batch) {
	flows, findings := b.flows, b.findings
	for _, isFlow := range b.isFlow {
		var line []byte
		var err error
		if isFlow {
			line, err = enc.flowEnd(&flows[0])
			flows = flows[1:]
		} else {
			line, err = enc.finding(&findings[0])
			findings = findings[1:]
		}
		if err != nil || !out.add(line) {
			w.lost.Add(1)
		}
		if !out.failing && out.full() {
			w.flush(out)
		}
	}
}

// flush writes what out holds, and reports a destination that fails or works again,
// once for each change.
func (w *Writer) flush(out *sink) {
	was := out.failing
	if err := out.flush(); err != nil {
		w.writeErrors.Add(1)
		if !was {
			w.log.Error("events cannot be written; trying again every second", "path", w.path, "error", err)
		}
	} else if was && !out.failing {
		w.log.Info("events are written again", "path", w.path, "lost", w.lost.Load())
	}
}

// sayOverflow reports the events that found the queue full since the last report.
func (w *Writer) sayOverflow(said *uint64) {
	if n := w.overflow.Load(); n != *said {
		w.log.Warn("events were lost: they came faster than they could be written",
			"path", w.path, "events", n-*said)
		*said = n
	}
}
