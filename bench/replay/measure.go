package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bench replays captures.
type bench struct {
	dir                string // for all that is made
	rounds             int
	keepword, suricata string // the programs; suricata "" where there is none
	said               io.Writer
}

// program is what replays a capture, given its name.
type program struct {
	name    string
	command func(capture string) *exec.Cmd
}

// programs returns what is compared: the first is what the others' ratios are to.
func (b *bench) programs() []program {
	keepword := func(args ...string) func(string) *exec.Cmd {
		return func(capture string) *exec.Cmd {
			return exec.Command(b.keepword, append(append([]string{"replay"}, args...), capture)...)
		}
	}
	list := []program{
		{"keepword replay --json", keepword("--json")},
		{"keepword replay --report", keepword("--report")},
		{"keepword replay --json --inline", keepword("--json", "--inline")},
	}
	if b.suricata != "" {
		for _, mode := range []string{"single", "autofp"} {
			list = append(list, program{"suricata -r, runmode " + mode, func(capture string) *exec.Cmd {
				return b.runSuricata(mode, capture)
			}})
		}
	}
	return list
}

// runSuricata returns the command that reads a capture without any rules, and without
// looking at checksums: keepword replay doesn't either.
func (b *bench) runSuricata(mode, capture string, more ...string) *exec.Cmd {
	args := []string{"-c", b.suricataConfig(), "-l", b.dir, "--runmode", mode, "-S", "/dev/null", "-k", "none", "-r", capture}
	return exec.Command(b.suricata, append(args, more...)...)
}

// suricataConfig is the name of the configuration that writeSuricataConfig makes.
func (b *bench) suricataConfig() string { return filepath.Join(b.dir, "suricata.yaml") }

// writeSuricataConfig has Suricata parse SMTP, and TLS behind it, and nothing else, follow
// streams to their end without limit as keepword does, and write the same kinds of events.
func (b *bench) writeSuricataConfig() error {
	return os.WriteFile(b.suricataConfig(), []byte(`%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: /dev/null
      types: [alert, smtp, tls, flow]
app-layer:
  protocols:
    tls: {enabled: yes, detection-ports: {dp: 443}}
    smtp: {enabled: yes, raw-extraction: no, mime: {decode-mime: no}}
stream:
  memcap: 1gb
  checksum-validation: no
  reassembly: {memcap: 1gb, depth: 0}
flow: {memcap: 512mb, hash-size: 65536, prealloc: 10000}
`), 0o600)
}

// cost is what one run took.
type cost struct {
	wall, processor time.Duration
	peak            int64 // octets of memory resident at most
}

// measure runs a program over a capture.
func measure(p program, capture string) (cost, error) {
	cmd := p.command(capture)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return cost{}, fmt.Errorf("%s: %w", p.name, err)
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	c := cost{wall: time.Since(begin)}
	close(ended)
	c.peak = <-peak
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", p.name, err, complaints.Bytes())
	}
	c.processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
}

// watchMemory returns the most memory that a process has had, in octets, as the kernel last
// told before its end (proc_pid_status(5)). What rusage says of a child counts its parent's
// too, from before the exec.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	const often = 5 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			peak = max(peak, highWater(string(text)))
		}
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// highWater finds the peak of resident memory in a process's status.
func highWater(status string) int64 {
	_, rest, _ := strings.Cut(status, "\nVmHWM:")
	if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == "kB" {
		n, _ := strconv.ParseInt(fields[0], 10, 64)
		return n << 10
	}
	return 0
}

// tally is what events say of a capture.
type tally struct {
	findings  int
	protocols map[string]int // sessions by app_proto
	outcomes  map[string]int // and by starttls.outcome, which only keepword tells
}

// check replays a capture with each program and reads what it says of it: every session
// must have been followed, those that left for TLS into it, and keepword must know the
// outcome that each was written with and have made no finding. Otherwise figures mean nothing.
func (b *bench) check(capture string, want contents) error {
	inClear := want.sessions - want.secured
	followed := func(t tally) bool {
		return len(t.protocols) == 2 && t.protocols["tls"] == want.secured && t.protocols["smtp"] == inClear
	}
	got, err := b.byKeepword(capture)
	if err != nil {
		return err
	}
	if !followed(got) || got.findings != 0 || got.outcomes["upgraded"] != want.secured || got.outcomes["not-asked"] != inClear {
		return fmt.Errorf("keepword made of %d sessions in TLS and %d in clear text: %+v", want.secured, inClear, got)
	}
	if b.suricata == "" {
		return nil
	}
	if got, err = b.bySuricata(capture); err == nil && !followed(got) {
		err = fmt.Errorf("suricata made of %d sessions in TLS and %d in clear text: %+v", want.secured, inClear, got)
	}
	return err
}

func (b *bench) byKeepword(capture string) (tally, error) {
	cmd := exec.Command(b.keepword, "replay", "--json", capture)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return tally{}, err
	}
	if err := cmd.Start(); err != nil {
		return tally{}, err
	}
	t, err := count(out)
	return t, errors.Join(err, cmd.Wait())
}

func (b *bench) bySuricata(capture string) (tally, error) {
	events := filepath.Join(b.dir, "eve.json")
	if said, err := b.runSuricata("single", capture, "--set", "outputs.0.eve-log.filename="+events).CombinedOutput(); err != nil {
		return tally{}, fmt.Errorf("suricata: %w: %s", err, said)
	}
	f, err := os.Open(events)
	if err != nil {
		return tally{}, err
	}
	defer f.Close()
	defer os.Remove(events)
	return count(f)
}

// count reads events.
func count(events io.Reader) (tally, error) {
	t := tally{protocols: make(map[string]int), outcomes: make(map[string]int)}
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var event struct {
			Type     string `json:"event_type"`
			Protocol string `json:"app_proto"`
			Metadata struct {
				Vars []map[string]string `json:"flowvars"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return t, err
		}
		switch event.Type {
		case "alert":
			t.findings++
		case "flow":
			t.protocols[event.Protocol]++
		}
		for _, v := range event.Metadata.Vars {
			if outcome, ok := v["starttls.outcome"]; ok {
				t.outcomes[outcome]++
			}
		}
	}
	return t, lines.Err()
}
