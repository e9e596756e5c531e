package eve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keepword/inspect"
	"keepword/inspect/starttls"
)

// countingFile counts the writes.
type countingFile struct {
	faultyFile
	writes int
}

func (f *countingFile) Write(p []byte) (int, error) {
	n, err := f.faultyFile.Write(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	return n, err
}

func (f *countingFile) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

func TestFlowEventsAreWrittenTogetherAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &countingFile{faultyFile: faultyFile{limit: 1 << 20}}
		w, _ := startWriter(dst)
		time.Sleep(10*time.Second + maxDelay/2) // idle, and no multiple of anything
		for round := 1; round <= 3; round++ {
			for range 10 {
				w.FlowEnd(aFlow())
				time.Sleep(maxDelay / 20)
			}
			if n := dst.written(); n != round-1 {
				t.Errorf("%d writes before the first event is due, want %d", n, round-1)
			}
			time.Sleep(maxDelay / 2)
			synctest.Wait()
			if n, events := dst.written(), countEvents(t, dst.String()); n != round || events != 10*round {
				t.Errorf("%d events in %d writes, want %d in %d", events, n, 10*round, round)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAlertIsWrittenAtOnceAndAfterWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &countingFile{faultyFile: faultyFile{limit: 1 << 20}}
		w, _ := startWriter(dst)
		synctest.Wait()
		w.FlowEnd(aFlow())
		synctest.Wait()
		w.Finding(aFinding())
		synctest.Wait() // no time passes
		lines := strings.SplitAfter(dst.String(), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], `"event_type":"flow"`) || !strings.Contains(lines[1], `"event_type":"alert"`) {
			t.Errorf("%q", lines)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAWholeBatchIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &countingFile{faultyFile: faultyFile{limit: 1 << 20}}
		w, _ := startWriter(dst)
		for range batchLength + 1 {
			w.FlowEnd(aFlow())
		}
		synctest.Wait()
		if n := countEvents(t, dst.String()); n != batchLength+1 {
			t.Errorf("%d events, want %d", n, batchLength+1)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestReopenLeavesWhatCameBeforeInTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eve.json")
	w, err := Open(path, utc, quiet())
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 5, 150 // more than a batch
	r := aFlow()
	for round := range rounds {
		r.HELO = fmt.Sprintf("round-%d", round)
		for range each {
			w.FlowEnd(r)
		}
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, round)); err != nil {
			t.Fatal(err)
		}
		if err := w.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		text, err := os.ReadFile(fmt.Sprintf("%s.%d", path, round))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), fmt.Sprintf(`"helo":"round-%d"`, round)); n != each || countEvents(t, string(text)) != each {
			t.Errorf("file %d holds %d of its %d events", round, n, each)
		}
	}
}

func TestSeveralWorkersLoseAndMixNothing(t *testing.T) {
	dst := &faultyFile{limit: 1 << 30}
	w, _ := startWriter(dst)
	const workers, each = 4, 1000 // all fit into the queue
	var running sync.WaitGroup
	for n := range workers {
		running.Go(func() {
			r := aFlow()
			for i := range each {
				name := fmt.Sprintf("w%d-%d", n, i)
				r.HELO, r.RcptTo[0], r.ReplyCode = name, name, 200+n
				w.FlowEnd(r)
				if i%100 == 0 {
					f := aFinding()
					f.Detail = name
					w.Finding(f)
				}
			}
		})
	}
	running.Wait()
	if err := w.Close(); err != nil || w.Dropped() > 0 {
		t.Fatalf("%v, %d dropped", err, w.Dropped())
	}
	text := dst.String()
	if n := countEvents(t, text); n != workers*(each+each/100) {
		t.Errorf("%d events", n)
	}
	for n := range workers {
		after := 0
		for i := range each { // each once, whole, and in its worker's order
			at := strings.Index(text[after:], fmt.Sprintf(`"helo":"w%d-%d",`, n, i))
			if at < 0 {
				t.Fatalf("session %d of worker %d is missing or out of order", i, n)
			}
			after += at
			line, _, _ := strings.Cut(text[after:], "\n")
			if !strings.Contains(line, fmt.Sprintf(`"rcpt_to":["w%d-%d"]`, n, i)) || !strings.Contains(line, fmt.Sprintf(`"starttls.reply":"%d"`, 200+n)) {
				t.Fatalf("mixed: %s", line)
			}
		}
	}
}

// put puts r that many times, or until there is no room, and returns how often there was.
func put(q *queue, r *inspect.FlowRecord, most int) (n int) {
	for n < most && q.putFlow(r) {
		n++
	}
	return n
}

func releaseAll(q *queue, memory []*batch) []*batch {
	memory, _ = q.take(memory[:0])
	for _, b := range memory {
		q.release(b)
	}
	return memory
}

func TestTheQueueIsBoundedUntilBatchesAreReleased(t *testing.T) {
	q := newQueue()
	r := aDelivery()
	if n := put(q, r, 2*queueLength); n != queueLength {
		t.Errorf("%d records fit, want %d", n, queueLength)
	}
	batches, _ := q.take(nil)
	if q.putFlow(r) {
		t.Error("what was taken and not released does not count")
	}
	q.release(batches[0])
	if n := put(q, r, queueLength); n != batchLength {
		t.Errorf("%d records fit in the place of a batch, want %d", n, batchLength)
	}
	for _, b := range batches[1:] {
		q.release(b)
	}
	if n := q.length(); n != batchLength {
		t.Errorf("%d records wait, want %d", n, batchLength)
	}
	releaseAll(q, nil)
	if len(q.free) != keptBatches || q.length() != 0 {
		t.Errorf("%d batches are kept of a full queue, want %d; %d records wait", len(q.free), keptBatches, q.length())
	}
}

func TestARecordIsHandedOverWithoutAllocation(t *testing.T) {
	q := newQueue()
	r := aDelivery()
	var memory []*batch
	if n := testing.AllocsPerRun(10, func() {
		put(q, r, keptBatches*batchLength)
		memory = releaseAll(q, memory)
	}); n != 0 {
		t.Errorf("%v allocations for %d records", n, keptBatches*batchLength)
	}
}

func TestWhatIsReleasedRefersToNothing(t *testing.T) {
	q := newQueue()
	f := aFinding()
	f.Said = talk()
	if !q.putFlow(aDelivery()) || !q.putFinding(f) {
		t.Fatal("no room")
	}
	batches, _ := q.take(nil)
	b := batches[0]
	flows, findings, rcptTo := b.flows, b.findings, b.rcptTo
	q.release(b)
	if flows[0].HELO != "" || flows[0].Said != nil || findings[0].Reason != "" || rcptTo[0] != "" {
		t.Errorf("%+v %+v %q", flows[0], findings[0], rcptTo)
	}
}

func TestACopyStaysWhereItsMemoryMoves(t *testing.T) {
	q := newQueue()
	for n := range batchLength {
		r := aFlow()
		for i := range r.Steps {
			r.Steps[i] = starttls.Step(n % int(starttls.Steps))
		}
		r.Said = []inspect.Said{{Code: n}}
		if !q.putFlow(r) {
			t.Fatal("no room")
		}
	}
	batches, _ := q.take(nil)
	for n, r := range batches[0].flows {
		if len(r.Said) != 1 || r.Said[0].Code != n || len(r.Steps) != 5 || r.Steps[4] != starttls.Step(n%int(starttls.Steps)) {
			t.Fatalf("record %d: %v, %v", n, r.Said, r.Steps)
		}
	}
}

func TestASealPartsWhatWaitsFromWhatComes(t *testing.T) {
	q := newQueue()
	r := aFlow()
	take := func(number uint64) (n int) {
		for _, b := range q.takeSealed(nil, number) {
			n += len(b.flows)
			q.release(b)
		}
		return n
	}
	put(q, r, 3)
	first := q.seal()
	put(q, r, batchLength+2)
	second := q.seal()
	put(q, r, 4)
	if n := take(first); n != 3 {
		t.Errorf("%d records before the first seal, want 3", n)
	}
	if n := take(first); n != 0 {
		t.Errorf("%d records are taken twice", n)
	}
	if n := take(second); n != batchLength+2 {
		t.Errorf("%d records between the seals, want %d", n, batchLength+2)
	}
	if n := q.length(); n != 4 {
		t.Errorf("%d records after them, want 4", n)
	}
}
