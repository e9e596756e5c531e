package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"keepword/bench/figures"
	"keepword/bench/line/load"
)

// soaking is a long run of mixed load through one keepword: each workload by itself, then
// all at once, again and again, at a share of the speed that keepword has here. Every message
// is stamped, and counted where it leaves and where it comes in.
type soaking struct {
	*site
	length, phase, every time.Duration
	share                float64
	out                  io.Writer

	gateway *standing
	book    book
	watch   *watch
	// next is the id of the next message.
	next load.ID
}

// soak runs one and prints its summary.
func soak(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("soak", flag.ExitOnError)
	k := &soaking{out: out}
	flags.DurationVar(&k.length, "for", time.Hour, "how long")
	flags.Float64Var(&k.share, "load", 0.3, "share of full speed, which is measured before")
	flags.DurationVar(&k.phase, "phase", time.Minute, "how long each workload, and then all at once")
	flags.DurationVar(&k.every, "every", 10*time.Second, "how often keepword is looked at")
	file := flags.String("csv", "soak.csv", "where what is seen goes, a line each time")
	conf := flags.String("c", "", "keepword's configuration, which must leave events, history and metrics where they are; none: defaults")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || k.length <= 0 || k.phase <= 0 || k.every <= 0 || k.share <= 0 || k.share > 1 {
		return errors.New("soak's times must be more than 0, and -load more than 0 and at most 1")
	}
	var config []byte
	if *conf != "" {
		if config, err = os.ReadFile(*conf); err != nil {
			return err
		}
	}
	if k.site, err = newSite(ctx); err != nil {
		return err
	}
	defer k.Close()
	csv, err := os.Create(*file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, csv.Close()) }()
	full, err := k.fullSpeed(ctx, string(config))
	if err != nil {
		return err
	}
	// An interrupted soak lets the sessions under way come to their end.
	if k.gateway, err = k.keepword(context.WithoutCancel(ctx), string(config)); err != nil {
		return err
	}
	k.watch = newWatch(k.site, k.gateway.program, &k.book, csv)
	played := k.play(ctx, full)
	// The events of the last sessions are written by now, or never.
	stopped := k.gateway.program.stop()
	k.watch.countEvents()
	return errors.Join(played, stopped, k.summary(full))
}

// fullSpeed measures how many sessions a second of each workload keepword carries here. It
// is another keepword than the one that is soaked.
func (k *soaking) fullSpeed(ctx context.Context, config string) (full []load.Share, err error) {
	const warm, window = 300 * time.Millisecond, 3 * time.Second
	gateway, err := k.keepword(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, gateway.stop()) }()
	for _, w := range load.Workloads {
		if w.Octets == 0 {
			continue
		}
		f, err := k.run(ctx, w, warm, window, func() error { return nil })
		if err == nil && f.Failed > 0 {
			err = fmt.Errorf("%d sessions failed; the first: %s", f.Failed, f.Failure)
		}
		if err != nil {
			return nil, fmt.Errorf("measure the full speed of %s: %w", w.Name, err)
		}
		full = append(full, load.Share{Workload: w, PerSecond: f.Sessions / f.Seconds})
	}
	return full, nil
}

// at returns shares with a pace that is a part of theirs.
func at(part float64, shares []load.Share) []load.Share {
	shares = slices.Clone(shares)
	for i := range shares {
		shares[i].PerSecond *= part
	}
	return shares
}

// play holds all phases, while keepword is watched, until the time is over or ctx ends.
func (k *soaking) play(ctx context.Context, full []load.Share) error {
	server, err := start(context.WithoutCancel(ctx), k.Server, ownProgram, "server", "-tell")
	if err != nil {
		return err
	}
	if err := server.await(ctx, readyLine); err != nil {
		return errors.Join(err, server.stop())
	}
	k.book.sequence = rand.Uint32()
	k.next = load.ID(k.book.sequence) << 32
	var reading sync.WaitGroup
	var readingErr error
	reading.Go(func() {
		for line := range server.lines {
			if head, sum, err := parseTold(line); err != nil {
				readingErr = err
			} else {
				k.book.received(head, sum)
			}
		}
	})
	watching, stopWatching := context.WithCancel(ctx)
	reading.Go(func() { k.watch.run(watching, k.every) })

	phases := [][]load.Share{}
	for i := range full {
		phases = append(phases, at(k.share, full[i:i+1]))
	}
	phases = append(phases, at(k.share/float64(len(full)), full))
	end := time.Now().Add(k.length)
	for i := 0; err == nil && ctx.Err() == nil && time.Now().Before(end); i++ {
		err = k.hold(ctx, phases[i%len(phases)], min(k.phase, time.Until(end)))
	}
	stopWatching()
	err = errors.Join(err, server.stop())
	reading.Wait()
	return errors.Join(err, readingErr)
}

// hold is one phase.
func (k *soaking) hold(ctx context.Context, shares []load.Share, window time.Duration) error {
	name := shares[0].Name
	if len(shares) > 1 {
		name = "all at once"
	}
	k.watch.phase.Store(&name)
	to := netip.AddrPortFrom(k.Server.Addr(k.ipv6), smtpPort)
	c, err := start(ctx, k.Client, ownProgram, deliverArgs(to, shares, window, k.next)...)
	if err != nil {
		return err
	}
	for line := range c.lines {
		id, failure, err := parseDelivered(line)
		if err != nil {
			return errors.Join(err, c.stop())
		}
		k.book.told(id, failure)
		k.next = max(k.next, id+1)
	}
	return c.stop()
}

// summary says what came of it, and returns an error unless every message did as it
// should.
func (k *soaking) summary(full []load.Share) error {
	t := k.book.now()
	p := func(format string, args ...any) { fmt.Fprintf(k.out, format+"\n", args...) }
	p("%s", figures.Circumstances(fmt.Sprintf("go run ./bench/line soak -for %v -load %g", k.length, k.share)))
	for _, s := range full {
		p("full speed, %s: %.1f sessions a second", s.Name, s.PerSecond)
	}
	p("messages acknowledged: %d, taken by the server: %d", t.Acked, t.Taken)
	p("messages lost: %d, duplicated: %d, changed: %d", t.Lost, t.Duplicated, t.Changed)
	p("sessions failed: %d", t.Failed)
	for _, f := range t.Failures {
		p("  %s", f)
	}
	k.watch.summary(p)
	if t.Acked == 0 {
		return errors.New("no message was delivered")
	}
	if t.Failed == 0 && k.watch.flows != t.Acked {
		return fmt.Errorf("events tell of %d sessions where there were %d", k.watch.flows, t.Acked)
	}
	if t.Lost+t.Duplicated+t.Changed+t.Failed > 0 {
		return fmt.Errorf("%d messages lost, %d duplicated, %d changed, %d sessions failed", t.Lost, t.Duplicated, t.Changed, t.Failed)
	}
	return nil
}
