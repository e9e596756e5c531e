//go:build lab

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepword/bench/line/load"
)

// TestMain is the program of the hosts' processes too, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// progressTo tells what is done in the test's log.
type progressTo struct{ t *testing.T }

func (p progressTo) Write(text []byte) (int, error) {
	p.t.Log(string(bytes.TrimSpace(text)))
	return len(text), nil
}

// A session that fails or a run without a session fails the comparison.
func TestEverySubjectCarriesEveryWorkload(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, []string{"-rounds", "1", "-time", "200ms", "-warm", "50ms"}, &out, progressTo{t}); err != nil {
		t.Fatal(err)
	}
	for _, w := range load.Workloads[:4] {
		if !strings.Contains(out.String(), " "+w.Name+" |") {
			t.Errorf("no column %s in the tables", w.Name)
		}
	}
	// What is there on every machine must not be left out.
	for _, sub := range []string{"raw forwarding", "go-nfqueue", "keepword, defaults", "keepword, offload: off", "keepword, engine: portable"} {
		if !strings.Contains(out.String(), "\n| "+sub) {
			t.Errorf("no row of %s in the tables", sub)
		}
	}
}

func TestPipelinedCommandsAndIPv6PassKeepwordToo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	args := []string{"-rounds", "1", "-time", "200ms", "-warm", "50ms", "-6", "-pipelining", "-subjects", "defaults", "-workloads", "plain,starttls"}
	if err := run(ctx, args, &out, progressTo{t}); err != nil {
		t.Fatal(err)
	}
}

// The control: a comparison that could not fail would prove nothing.
func TestAGatewayThatResetsConnectionsMakesTheRunInvalid(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w, err := load.Find("plain")
	if err != nil {
		t.Fatal(err)
	}
	resetting := subject{name: "a gateway that resets", stand: func(ctx context.Context, s *site) (*standing, error) {
		nft := s.Gateway.Command(ctx, "nft", "-f", "-")
		nft.Stdin = strings.NewReader(`table inet line {
			chain forward {
				type filter hook forward priority 0
				tcp dport 25 reject with tcp reset
			}
		}`)
		_, err := nft.Output()
		return &standing{}, err
	}}
	p := plan{
		subjects: []subject{subjects[0], resetting}, workloads: []load.Workload{w},
		rounds: 1, window: 100 * time.Millisecond, progress: func(text string) { t.Log(text) },
	}
	r, err := p.play(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.invalid(); err == nil || !strings.Contains(err.Error(), resetting.name) || strings.Contains(err.Error(), subjects[0].name) {
		t.Errorf("the comparison says %v", err)
	}
}

func TestAShortSoakCountsEveryMessageInAndOut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "soak.csv")
	var out bytes.Buffer
	if err := run(ctx, []string{"soak", "-for", "4s", "-phase", "800ms", "-every", "500ms", "-csv", file}, &out, progressTo{t}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	csv, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(csv)), "\n")
	if len(lines) < 4 {
		t.Errorf("%d lines of what was seen in 4 s", len(lines))
	}
	for _, line := range lines {
		if got, want := strings.Count(line, ","), strings.Count(lines[0], ","); got != want {
			t.Errorf("%d commas where the head has %d: %s", got, want, line)
		}
	}
	for _, phase := range []string{"plain", "bulk-tls", "all at once"} {
		if !strings.Contains(string(csv), ","+phase+",") {
			t.Errorf("nothing was seen of %s", phase)
		}
	}
	if strings.Contains(out.String(), "not seen") {
		t.Error("keepword could not be looked at")
	}
}
