package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"keepword/dataplane/pcap"
	"keepword/inspect/starttls"
)

// judged is a dialogue or a capture, and what was done to it.
type judged struct {
	name, kind string
	features   []string
	*judgement
	// faults are what no lawful session may meet with: actions, and that it was not
	// followed to its end.
	faults []string
}

// judge plays a dialogue in every cut, over IPv4 and IPv6.
func judge(d *dialogue) judged {
	r := newReferee()
	t := tracer{insp: r, now: began}
	for i, c := range cuts {
		// Over IPv6 the sequence numbers pass their wrap.
		t.play(d, c, uint16(2*i), false, 1000)
		t.play(d, c, uint16(2*i+1), true, 1<<32-100)
	}
	out := judged{name: d.name, kind: d.kind, features: d.features, judgement: r.finish(t.now)}
	out.faults = slices.Clone(out.actions)
	want := slices.Repeat([]starttls.Outcome{d.outcome}, 2*len(cuts))
	if len(d.says) == 0 {
		want = nil // of connections that carried nothing nobody is told
	}
	if !slices.Equal(out.outcomes, want) {
		out.faults = append(out.faults, fmt.Sprintf("read as %v, and is %v", out.outcomes, want))
	}
	out.judgeReading()
	return out
}

// judgeReading adds a fault where octets of a clear-text session were not inspected: to
// let a session be by not reading it is no art.
func (j *judged) judgeReading() {
	if j.unread > 0 {
		j.faults = append(j.faults, fmt.Sprintf("%d octets in clear text were not inspected", j.unread))
	}
}

// judgeAll judges the dialogues of seeds from first on, on all processors, and returns
// them in order.
func judgeAll(first uint64, n int) []judged {
	list := make([]judged, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				list[i] = judge(Generate(first + uint64(i)))
			}
		})
	}
	workers.Wait()
	return list
}

// judgeCapture replays a capture of real programs. Checksums are not looked at: in the
// lab nobody fills them in.
func judgeCapture(ctx context.Context, path string) (judged, error) {
	out := judged{name: filepath.Base(path), kind: recordedKind}
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	r := newReferee()
	stats, err := pcap.Replay(ctx, f, path, r, pcap.Options{IgnoreChecksums: true})
	if err != nil {
		return out, err
	}
	out.judgement = r.finish(stats.Last)
	out.faults = slices.Clone(out.actions)
	for _, o := range out.outcomes {
		if !slices.Contains(kept, o) {
			out.faults = append(out.faults, fmt.Sprintf("a session ended as %v", o))
		}
	}
	if len(out.outcomes) == 0 {
		out.faults = append(out.faults, "holds no session")
	}
	out.judgeReading()
	return out, nil
}

const recordedKind = "recorded sessions"

// kept are the outcomes of sessions in which nobody broke a promise.
var kept = []starttls.Outcome{starttls.OutcomeUpgraded, starttls.OutcomeRefused, starttls.OutcomeNotOffered, starttls.OutcomeNotAsked}

// judgeCaptures judges the captures of a directory.
func judgeCaptures(ctx context.Context, dir string) ([]judged, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no *.pcap: name a directory that -record has written, or run this where the repository's root is", dir)
	}
	var list []judged
	for _, file := range files {
		j, err := judgeCapture(ctx, file)
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}
