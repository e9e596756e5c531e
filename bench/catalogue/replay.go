package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	v "keepword/inspect/verdict"
)

// tape is a wire on which nobody stands, and that is recorded.
type tape struct {
	w      *pcapgo.Writer
	err    error
	now    time.Time
	arrive func(at side, pkt []byte)
}

func (t *tape) open(_, _ netip.AddrPort, arrive func(at side, pkt []byte)) { t.arrive = arrive }

func (t *tape) carry(from side, pkt []byte) {
	t.now = t.now.Add(time.Millisecond)
	info := gopacket.CaptureInfo{Timestamp: t.now, CaptureLength: len(pkt), Length: len(pkt)}
	t.err = errors.Join(t.err, t.w.WritePacket(info, pkt))
	t.arrive(from.other(), pkt)
}

func (t *tape) rest(d time.Duration) { t.now = t.now.Add(d) }

// capture records the plays of cases, one after the other.
func capture(path string, cases []*shippedCase) error {
	var b bytes.Buffer
	const longest = 1 << 16
	t := &tape{w: pcapgo.NewWriterNanos(&b), now: time.Unix(1_800_000_000, 0)}
	if err := t.w.WriteFileHeader(longest, layers.LinkTypeRaw); err != nil {
		return err
	}
	port := uint16(10000)
	for _, c := range cases {
		p := start(t, c.client(), c.server, func() uint16 { port++; return port })
		c.Play(p)
		if c.effect(c.setting) == v.Hide {
			c.Next(p)
		}
	}
	if t.err != nil {
		return t.err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// replay has the program inspect a capture of the cases, of one mode all, and judges what it
// reports.
func replay(program, dir string, cases []*shippedCase) ([]outcome, error) {
	path, conf := filepath.Join(dir, "cases.pcap"), filepath.Join(dir, "keepword.yaml")
	if err := capture(path, cases); err != nil {
		return nil, err
	}
	text, err := configuration(cases)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, text, 0o644); err != nil {
		return nil, err
	}
	args := []string{"replay", "-c", conf, "--json", "--checksums", "verify"}
	if cases[0].mode == v.Enforce {
		args = append(args, "--inline")
	}
	var out, complaint bytes.Buffer
	cmd := exec.Command(program, append(args, path)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("keepword replay: %w: %s", err, complaint.String())
	}
	events, err := reported(out.Bytes())
	if err != nil {
		return nil, err
	}
	return judgeReported(cases, events), nil
}

// replayAll is all that is done with keepword replay.
func replayAll(all []*Fixture) (list []outcome, err error) {
	dir, err := os.MkdirTemp("", "catalogue-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, err := build(dir)
	if err != nil {
		return nil, err
	}
	for _, cases := range replayRuns(all) {
		outcomes, err := replay(program, dir, cases)
		if err != nil {
			return nil, err
		}
		list = append(list, outcomes...)
	}
	return list, nil
}

// replayRuns are the runs of keepword replay, in both modes: one with each action set for
// the servers, and for each action one in which it is set for all.
func replayRuns(all []*Fixture) (runs [][]*shippedCase) {
	for _, mode := range []v.Mode{v.Enforce, v.Observe} {
		runs = append(runs, shippedCases(all, mode, false))
		for a := v.Pass; a <= v.Kill; a++ {
			runs = append(runs, globalCases(all, mode, a))
		}
	}
	return runs
}
