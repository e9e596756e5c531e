package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"keepword/bench/lab"
)

// The clock is fast: what is a day in keepword's defaults is a few seconds here. It is
// long enough for what a story does within a day, on a busy machine.
const day = 15 * time.Second

// Where keepword has things on the gateway.
const (
	program = "/usr/local/bin/keepword"
	config  = "/etc/lab/keepword.yaml"
)

// stage is a lab with keepword on its gateway, and what is recorded there.
type stage struct {
	*lab.Lab
	configuration string
	keepword      *lab.Keepword
	sender        *lab.Sender // nil: mail is sent by swaks
	capture       *lab.Capture

	conversations []*lab.Conversation
	events        []lab.Event
}

// firstPort is the first server's; each story has one of its own.
const firstPort = 12000

// openStage builds a lab and starts keepword, a recording of what the client sees, and
// where postfix is set a sending Postfix. The caller closes it.
func openStage(ctx context.Context, stories []*story, dir string, postfix bool) (st *stage, err error) {
	l, err := lab.New(lab.Options{Box: postfix})
	if err != nil {
		return nil, err
	}
	st = &stage{Lab: l, configuration: configuration(stories)}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if st.keepword, err = l.Keepword(ctx, st.configuration); err != nil {
		return nil, err
	}
	if postfix {
		if err := st.startSender(ctx, stories); err != nil {
			return nil, err
		}
	}
	file, err := os.CreateTemp(dir, "*.pcap")
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	st.capture, err = l.Client.Capture(ctx, "eth0", file.Name())
	return st, err
}

// configuration is keepword's defaults, but for the clock, the ports and the stories that
// require TLS.
func configuration(stories []*story) string {
	var ports, require []string
	for _, s := range stories {
		ports = append(ports, fmt.Sprint(s.port))
		if s.require {
			require = append(require, fmt.Sprint(s.port))
		}
	}
	return fmt.Sprintf("ports: [%s]\nhistory: {path: /var/lib/keepword/breaker.db, breaker: {retry: %v}}\nservers:\n  - {ports: [%s], starttls: require}\n",
		strings.Join(ports, ", "), day, strings.Join(require, ", "))
}

// startSender starts Postfix with a server for each story's domain, and a fast clock.
func (st *stage) startSender(ctx context.Context, stories []*story) (err error) {
	st.sender, err = lab.StartSender(ctx, st.Client, lab.SenderOptions{
		Relay: netip.AddrPortFrom(st.Server.IPv4, firstPort), Mode: lab.IfOffered,
	})
	if err != nil {
		return err
	}
	// What comes back to the sender goes nowhere.
	transports := []string{"{ example.net = discard: }"}
	for _, s := range stories {
		transports = append(transports, fmt.Sprintf("{ %s = smtp:[%s]:%d }", s.domain(), st.Server.IPv4, s.port))
	}
	_, err = st.Client.Command(ctx, "sh", "-ec", `
		postconf -e "$@"
		touch -d '1 minute ago' /etc/postfix/main.cf
		postfix reload`, "sh",
		"transport_maps=inline:{ "+strings.Join(transports, ", ")+" }",
		// It waits for the ServerHello longer than keepword takes to call that silence.
		"smtp_starttls_timeout=12s",
		// A server that was lost once is tried again with the next message, not some
		// minutes later.
		"default_destination_concurrency_failed_cohort_limit=0",
		// A PIX is met with HELO at once, not when mail has waited for it 500 seconds.
		"smtp_pix_workaround_threshold_time=0s",
	).Output()
	return err
}

// close ends the recordings, reads them, and takes the lab away.
func (st *stage) close() (err error) {
	defer st.Close()
	if err := st.capture.Stop(); err != nil {
		return err
	}
	if st.conversations, err = st.capture.Conversations(); err != nil {
		return err
	}
	if st.sender != nil {
		err = st.sender.Stop()
	}
	if err := errors.Join(err, st.keepword.Stop()); err != nil {
		return err
	}
	st.events, err = st.keepword.Events()
	return err
}

// command runs keepword's program on the gateway, as an administrator does.
func (st *stage) command(ctx context.Context, args ...string) (string, error) {
	out, err := st.Gateway.Command(ctx, program, append(args, "-c", config)...).Output()
	return string(out), err
}

// play plays all stories, and judges them.
func play(ctx context.Context) (all []*story, err error) {
	all = stories()
	for i, s := range all {
		s.port = uint16(firstPort + i)
	}
	dir, err := os.MkdirTemp("", "breaker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var stages [2]*stage
	var errs [2]error
	each(len(stages), func(i int) { stages[i], errs[i] = openStage(ctx, all, filepath.Clean(dir), i == 0) })
	if err := errors.Join(errs[:]...); err != nil {
		for _, st := range stages {
			if st != nil {
				st.Close()
			}
		}
		return nil, err
	}
	playAll(ctx, all, stages)
	each(len(stages), func(i int) { errs[i] = stages[i].close() })
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, s := range all {
		s.judge()
	}
	return all, nil
}

// playAll plays the stories at the same time: they mostly wait. One that must keep to a day
// begins alone.
func playAll(ctx context.Context, all []*story, stages [2]*stage) {
	alone := make(chan struct{})
	each(len(all), func(i int) {
		s := all[i]
		s.site, s.other = newSite(s, stages[0]), newSite(s, stages[1])
		release := func() {}
		if s.hasty {
			release = sync.OnceFunc(func() { close(alone) })
			defer release()
		} else {
			<-alone
		}
		if err := s.play(ctx, release); err != nil {
			s.faults = append(s.faults, err.Error())
		}
		for _, at := range []*site{s.site, s.other} {
			if err := at.close(); err != nil {
				s.faults = append(s.faults, err.Error())
			}
		}
	})
}

// each calls f for 0 to n-1 at the same time.
func each(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
