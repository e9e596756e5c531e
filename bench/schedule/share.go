package main

import (
	"fmt"
	"net"
	"time"

	"keepword/bench/follow"
	"keepword/bench/lab"
	"keepword/dataplane"
	"keepword/dataplane/offload"
)

// share is the kernel's own share of the gateway: the program at its interfaces, and what
// inspection says of what it let through.
type share struct {
	program *offload.Offload
	witness follow.Witness
	// bend, where it is not nil, puts something in the place of the program's log: proofs
	// have to fail.
	bend func(dataplane.Follower) dataplane.Follower
}

// longMail is from how many octets on a packet of mail data is kept in a ring: few, so that many are.
const longMail = 600

// load loads the program.
func (s *share) load() (err error) {
	s.program, err = offload.Open(offload.Config{
		Ports: inspectedPorts(), Mark: exempt, Large: longMail, Workers: 1, Worker: func(uint16) int { return 0 },
	})
	return err
}

// attach attaches the program to the interfaces of the gateway, in which it is called.
func (s *share) attach() error {
	for _, name := range []string{lab.ClientSide, lab.ServerSide} {
		i, err := net.InterfaceByName(name)
		if err == nil {
			err = s.program.Attach(i.Index)
		}
		if err != nil {
			return fmt.Errorf("attach to %s: %w", name, err)
		}
	}
	return nil
}

// follower is what the engine reads the log from.
func (s *share) follower() dataplane.Follower {
	f := dataplane.Follower(s.program.Worker(0))
	if s.bend != nil {
		f = s.bend(f)
	}
	return f
}

// inspects returns once all has been inspected that the program had let through before. The
// engine reads the log to its end before each batch, and a batch that is empty comes when no
// packet did for a while.
func (s *share) inspects() {
	if s == nil {
		return
	}
	for begun := s.witness.Rounds.Load(); s.witness.Rounds.Load() < begun+2; {
		time.Sleep(time.Duration(dataplane.TickInterval) / 10)
	}
}

// judge says whether the kernel has let packets through, and inspection would have done
// nothing else with any. Nothing may inspect any more.
func (s *share) judge() error {
	counts, err := s.program.Counts()
	switch {
	case err != nil:
		return err
	case len(s.witness.Differences) > 0:
		return fmt.Errorf("inspection differs with the kernel, for one: %s", s.witness.Differences[0])
	case counts.Followed == 0 || s.witness.Passed == 0:
		return fmt.Errorf("the kernel has let nothing through, and nothing is proven of it: %+v", counts)
	}
	return nil
}

// String tells what was let through, and why the rest was not.
func (s *share) String() string {
	c, err := s.program.Counts()
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("the kernel has let through %d packets and logged them, %d without a word, %d in TLS; %d connections were granted",
		c.Followed, c.Silent, c.Passed, c.Taken)
	for _, d := range c.Diverted {
		text += fmt.Sprintf(", %d came up (%s)", d.Count, d.Name)
	}
	return text
}
