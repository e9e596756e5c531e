// Command catalogue shows of each finding of the catalogue that it is made, reported, and
// answered as configured: the smallest play that provokes it goes
//
//   - through inspection itself, under every action that makes sense for it, set globally
//     and for one server, in observe and enforce, over IPv4 and IPv6;
//   - as a capture through keepword replay, likewise;
//   - as raw packets through keepword run on a gateway, in observe and enforce.
//
// Each time the finding must be reported once and under its name, with that action and
// mode, and the action must have been carried out, or, in observe, nothing at all.
//
//	go run ./bench/catalogue -o docs/findings-tested.md
//
// It makes network namespaces and needs root.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// limit bounds the whole run.
const limit = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := flag.String("o", "", "write the table to this file (docs/findings-tested.md)")
	flag.Parse()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}

// fixtures are all, in the catalogue's order.
func fixtures() []*Fixture {
	return slices.Concat(promise(), injection(), lines(), packets())
}

func run(ctx context.Context, path string) error {
	all := fixtures()
	r := result{fixtures: all, pure: pureAll(all)}
	var err error
	if r.replay, err = replayAll(all); err != nil {
		return err
	}
	if r.live, err = liveAll(ctx, all); err != nil {
		return err
	}
	if path != "" {
		var text bytes.Buffer
		r.write(&text)
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	cases, faults := 0, 0
	for _, o := range slices.Concat(r.pure, r.replay, r.live) {
		cases++
		for _, f := range o.faults {
			faults++
			fmt.Printf("FAULT %s: %s\n", o.name, f)
		}
	}
	fmt.Printf("%d cases, %d faults\n", cases, faults)
	if faults > 0 {
		return errors.New("not all is as it should be: see above")
	}
	return nil
}
