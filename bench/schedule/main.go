// Command schedule proves that no octet reaches an application which keepword did not
// inspect in that form, or write itself. It makes hostile schedules of TCP segments, each
// from a seed, sends them by raw sockets through a gateway with keepword's inspection to
// a real Linux TCP, and compares what both ends' applications have read with what was
// inspected.
//
//	go run ./bench/schedule -n 20000 -seed 1
//
// With -kernel the program that decides in the kernel what it may is at the gateway's
// interfaces, and whatever it lets through has to be what inspection would have let through.
//
// It builds its hosts in network namespaces and needs root; the machine's own network is
// never touched.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "schedule:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("schedule", flag.ExitOnError)
	seed := flags.Uint64("seed", 1, "seed of the first schedule; each has the next")
	n := flags.Int("n", 500, "number of schedules")
	parallel := flags.Int("parallel", 200, "schedules that are played at the same time")
	verbose := flags.Bool("v", false, "list the packets of every schedule")
	shown := flags.Int("show", 3, "violations that are told at length")
	stalls := flags.Bool("stalls", false, "also name the seeds that neither completed nor were ended")
	kernel := flags.Bool("kernel", false, "have the kernel decide what it may")
	if err := flags.Parse(args); err != nil {
		return err
	}
	g, err := open(ctx, *kernel)
	if err != nil {
		return err
	}
	t := newTally()
	err = g.playAll(ctx, *seed, *n, *parallel, func(o Outcome) {
		t.add(&o)
		if *verbose {
			fmt.Fprint(out, o.Schedule)
		}
		if o.Violation != "" && t.total.violations <= *shown {
			fmt.Fprintln(out, &o)
		}
		if *stalls && !o.Complete && !o.Reset {
			fmt.Fprintf(out, "seed %d stalled (may end: %v)\n", o.Seed, o.Ends)
		}
	})
	counters := g.engine.Counters()
	fmt.Fprint(out, t)
	if g.share != nil {
		fmt.Fprintln(out, g.share)
		err = errors.Join(err, g.stop(), g.share.judge())
	}
	if err = errors.Join(err, g.close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d packets inspected, %d without a verdict in time, %d beyond the buffers\n",
		counters.Received, counters.Stale+counters.VerdictErrors, counters.Shortages)
	if t.total.violations > 0 {
		return fmt.Errorf("%d schedules violate the property: see above", t.total.violations)
	}
	return nil
}

func open(ctx context.Context, kernel bool) (*ground, error) {
	if kernel {
		return newSharedGround(ctx, new(share))
	}
	return newGround(ctx, keepword)
}

// String tells a violation: how to see it again, what went wrong, and every packet.
func (o *Outcome) String() string {
	return fmt.Sprintf("VIOLATION: go run ./bench/schedule -n 1 -seed %d\n%s%v", o.Seed, o.Violation, o.Schedule)
}
