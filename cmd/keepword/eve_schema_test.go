package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepword/cmd/keepword/internal/eve/schema"
)

// validEvents checks a log against Suricata's schema, and counts its events in counts: flow
// events by outcome and alerts by finding. A torn last line is an invalid one.
func validEvents(t testing.TB, events *schema.Schema, log string, counts map[string]int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if err := events.Check([]byte(line)); err != nil {
			t.Errorf("%v\n%s", err, line)
			continue
		}
		var e struct {
			Type  string `json:"event_type"`
			Alert struct {
				Metadata struct{ Finding []string }
			}
			Metadata struct{ Flowvars []map[string]string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		kind := slices.Clone(e.Alert.Metadata.Finding)
		for _, v := range e.Metadata.Flowvars {
			if o, ok := v["starttls.outcome"]; ok {
				kind = append(kind, o)
			}
		}
		counts[e.Type+" "+strings.Join(kind, " ")]++
	}
}

// logCounts logs what was counted.
func logCounts(t testing.TB, counts map[string]int) {
	sum := 0
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%5d %s", counts[kind], kind)
		sum += counts[kind]
	}
	t.Logf("%d events checked, of %d kinds", sum, len(counts))
}

func TestTheEventsOfEveryCaptureAreValidAgainstSuricatasSchema(t *testing.T) {
	events := schema.Get(t)
	var captures []string
	for _, dir := range []string{"testdata/captures", "../../bench/lawful/testdata"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
		if err != nil || len(files) < 10 {
			t.Fatalf("%d captures in %s (%v)", len(files), dir, err)
		}
		captures = append(captures, files...)
	}
	counts := make(map[string]int)
	for _, mode := range [][]string{nil, {"--inline"}, {"-c", "testdata/prefix.yaml"}} {
		var out bytes.Buffer
		args := slices.Concat([]string{"replay", "--json"}, mode, captures)
		if code := execute(t.Context(), &env{stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard, args: args}); code != exitDone {
			t.Errorf("%q: exit code %d", mode, code)
		}
		validEvents(t, events, out.String(), counts)
	}
	logCounts(t, counts)
}
