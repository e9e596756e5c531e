package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Capture is a recording of an interface's packets.
type Capture struct {
	Path string // on the machine

	file   *os.File
	daemon *daemon
	log    *logBuffer
}

// Capture begins to record the TCP packets of an interface of the host into the pcap
// file path of the machine, and returns when it does. ClientSide and ServerSide are
// the interfaces of the gateway and the box; the others have eth0.
func (h *Host) Capture(ctx context.Context, iface, path string) (*Capture, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	c := &Capture{Path: path, file: file}
	c.log = newLogBuffer(func(line string) bool { return strings.Contains(line, "listening on") })
	cmd := h.Command(context.WithoutCancel(ctx), "tcpdump", "-n", "-i", iface, "-w", "-",
		// Debian's would otherwise become another user, which hosts lack.
		"-Z", "root",
		// Packets are written as they come. That costs a slot of the ring for each, as
		// large as the largest that offload makes; the ring (in KiB) has some 1,900.
		"-U", "--immediate-mode", "-s", "65600", "-B", "131072", "tcp")
	cmd.Stdout, cmd.Stderr = file, c.log
	if c.daemon, err = startDaemon("tcpdump", cmd); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := c.daemon.awaitLine(ctx, c.log); err != nil {
		return nil, errors.Join(err, c.daemon.stop(), file.Close())
	}
	return c, nil
}

// settle is how long packets take at most from the wire to tcpdump.
const settle = 200 * time.Millisecond

// dropped matches what tcpdump says at its end if the recording has holes.
var dropped = regexp.MustCompile(`(?m)^[1-9]\d* packets? dropped by kernel`)

// Stop ends the recording. The file then holds every packet of before, or there is
// an error.
func (c *Capture) Stop() error {
	time.Sleep(settle)
	if err := errors.Join(c.daemon.stop(), c.file.Close()); err != nil {
		return err
	}
	if what := dropped.FindString(c.log.String()); what != "" {
		return fmt.Errorf("%s: %s", c.Path, what)
	}
	return nil
}

// Conversations reads the TCP connections of the recording, after it was stopped.
func (c *Capture) Conversations() ([]*Conversation, error) { return ReadConversations(c.Path) }
