package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded says of each recorded session (testdata/captures/README.md) how it ended and
// what is found in it.
var recorded = map[string]struct {
	outcome  string
	findings []string
}{
	"upgraded":           {"upgraded", nil},
	"upgraded-ipv6-exim": {"upgraded", nil},
	"not-offered":        {"not-offered", nil},
	"refused-554":        {"refused", []string{"offer-refused"}},
	"refused-454":        {"refused", []string{"offer-refused-temporarily"}},
	"rate-limited":       {"refused", []string{"tls-rate-limited"}},
	"pix-answers":        {"broken", []string{"answered-for-server"}},
	"pix-noop":           {"broken", []string{"answered-for-server"}},
	"asa-mask":           {"not-offered", []string{"offer-masked"}},
	"strip-line":         {"not-offered", nil},
	"mask-greeting":      {"not-offered", []string{"greeting-masked"}},
	"clear-after-220":    {"broken", []string{"plaintext-from-server-after-220"}},
	"injects-after-220":  {"upgraded", []string{"response-injection"}},
}

func TestRecordedSessionsAreReadAsTheyHappened(t *testing.T) {
	files, err := filepath.Glob("testdata/captures/*.pcap")
	if err != nil || len(files) != len(recorded) {
		t.Fatalf("%d captures, want %d (%v)", len(files), len(recorded), err)
	}
	for _, file := range files {
		want, ok := recorded[strings.TrimSuffix(filepath.Base(file), ".pcap")]
		if !ok {
			t.Errorf("%s: nothing is known of it", file)
			continue
		}
		var out, errs bytes.Buffer
		if code := execute(t.Context(), &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, args: []string{"replay", "--json", file}}); code != 0 {
			t.Errorf("%s: exit %d: %s", file, code, &errs)
			continue
		}
		var outcomes, findings []string
		for line := range strings.Lines(out.String()) {
			var e struct {
				Alert struct {
					Metadata struct{ Finding, Breaker []string }
				}
				Metadata struct{ Flowvars []map[string]string }
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v in %s", file, err, line)
			}
			if m := e.Alert.Metadata; m.Breaker == nil { // else what a finding told before came to
				findings = append(findings, m.Finding...)
			}
			for _, v := range e.Metadata.Flowvars {
				if o, ok := v["starttls.outcome"]; ok {
					outcomes = append(outcomes, o)
				}
			}
		}
		if !slices.Equal(outcomes, []string{want.outcome}) || !slices.Equal(findings, want.findings) {
			t.Errorf("%s: outcomes %q, findings %q; want %q, %q", file, outcomes, findings, want.outcome, want.findings)
		}
	}
}
