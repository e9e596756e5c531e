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
				return exec.Command(b.suricata, "-c", b.suricataConfig(), "-l", b.dir, "--runmode", mode, "-S", "/dev/null", "-k", "none", "-r", capture)
			}})
		}
	}
	return list
}

// suricataConfig is the name of the configuration that writeSuricataConfig makes.
func (b *bench) suricataConfig() string { return filepath.Join(b.dir, "suricata.yaml") }

// writeSuricataConfig has Suricata parse SMTP, and TLS behind it, and nothing else, follow
// streams to their end without limit as keepword does, and write the same kinds of events.
// No rules are loaded, and checksums are not looked at: keepword replay doesn't either.
func (b *bench) writeSuricataConfig() error {
	return os.WriteFile(b.suricataConfig(), []byte(`%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: /dev/null
      types: [alert, anomaly, smtp, tls, flow]
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

// check replays a capture with keepword and reads what it says of it: every session must
// have been followed to its end, with the outcome that it was written with, and no
// finding. Otherwise figures mean nothing.
func (b *bench) check(capture string, want contents) error {
	cmd := exec.Command(b.keepword, "replay", "--json", capture)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	findings, outcomes, err := count(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return err
	}
	if inClear := want.sessions - want.secured; findings != 0 || len(outcomes) != 2 ||
		outcomes["upgraded"] != want.secured || outcomes["not-asked"] != inClear {
		return fmt.Errorf("%d sessions in TLS and %d in clear text were not followed as they should be: %d findings, outcomes %v",
			want.secured, inClear, findings, outcomes)
	}
	return nil
}

// count reads events and returns how many findings are among them, and the outcomes of
// sessions.
func count(events io.Reader) (findings int, outcomes map[string]int, err error) {
	outcomes = make(map[string]int)
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var event struct {
			Type     string `json:"event_type"`
			Metadata struct {
				Vars []map[string]string `json:"flowvars"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return 0, nil, err
		}
		if event.Type != "flow" {
			findings++
		}
		for _, v := range event.Metadata.Vars {
			if outcome, ok := v["starttls.outcome"]; ok {
				outcomes[outcome]++
			}
		}
	}
	return findings, outcomes, lines.Err()
}
