package eve

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"keepword/inspect"
	protocol "keepword/inspect/smtp"
)

// aDelivery is the end of a session with all that one may have: a message delivered, in
// twelve lines, and TLS.
func aDelivery() *inspect.FlowRecord {
	r := aFlow()
	now := r.Start
	for i, v := range []protocol.Verb{protocol.VerbGreeting, protocol.VerbEHLO, protocol.VerbMAIL, protocol.VerbRCPT,
		protocol.VerbDATA, protocol.VerbEndOfData} {
		if i > 0 {
			r.Said = append(r.Said, inspect.Said{Time: now, Kind: inspect.SaidCommand, ToServer: true, Verb: v})
			now += 3 * ms
		}
		r.Said = append(r.Said, inspect.Said{Time: now, Kind: inspect.SaidReply, Code: 250})
	}
	r.Said = append(r.Said, inspect.Said{Time: now, Kind: inspect.SaidCommand, ToServer: true, Verb: protocol.VerbQUIT})
	return r
}

// later lets r end and begin a tenth of a millisecond later: at 10,000 sessions a second.
func later(r *inspect.FlowRecord) {
	const step = int64(100 * time.Microsecond)
	r.Start, r.End = r.Start+step, r.End+step
}

// What a flow event costs to encode, and what it would by encoding/json.
func BenchmarkFlowEvent(b *testing.B) {
	for _, c := range []struct {
		name   string
		encode func(*encoder, *inspect.FlowRecord) ([]byte, error)
	}{{"appended", (*encoder).flowEnd}, {"encoding-json", specified}} {
		b.Run(c.name, func(b *testing.B) {
			e := newEncoder(utc)
			r := aDelivery()
			b.ReportAllocs()
			for b.Loop() {
				later(r)
				if _, err := c.encode(e, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What it costs the packet path to hand a flow event over.
func BenchmarkHandOver(b *testing.B) {
	q := newQueue()
	r := aDelivery()
	var batches []*batch
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if !q.putFlow(r) {
			b.Fatal("no room")
		}
		if n++; n%batchLength == 0 {
			batches, _ = q.take(batches[:0])
			for _, batch := range batches {
				q.release(batch)
			}
		}
	}
}

// What a flow event costs from FlowEnd to the file, in processor time of all goroutines and
// the kernel: cpu-ns/op of file less that of off, which is the pace alone, 10,000 a second.
func BenchmarkWriter(b *testing.B) {
	for _, c := range []struct{ name, path string }{{"off", ""}, {"file", filepath.Join(b.TempDir(), "eve.json")}} {
		b.Run(c.name, func(b *testing.B) {
			w, err := Open(c.path, Options{Interface: InterfaceNames()}, quiet())
			if err != nil {
				b.Fatal(err)
			}
			r := aDelivery()
			const burst, every = 100, 10 * time.Millisecond
			b.ReportAllocs()
			before := processorTime(b)
			for n := range b.N {
				later(r)
				w.FlowEnd(r)
				if n%burst == 0 {
					time.Sleep(every)
				}
			}
			if err := w.Close(); err != nil || w.Dropped() > 0 {
				b.Fatalf("%v, %d dropped", err, w.Dropped())
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
