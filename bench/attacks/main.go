// Command attacks plays the known attacks on STARTTLS and on the end of mail data against
// keepword: each as a fixture, through inspection in every cut, and live between real
// servers and clients, without keepword and with it.
//
//	go run ./bench/attacks -o docs/attacks.md
//
// For the live play it builds hosts in network namespaces and needs root; the machine's own
// network and mail are never touched. -pure leaves it out.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
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
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("attacks", flag.ExitOnError)
	file := flags.String("o", "", "write the tables to this file (docs/attacks.md) instead of printing them")
	pure := flags.Bool("pure", false, "leave out the live play, which needs root")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := &result{at: time.Now(), tallies: playPure(fixtures())}
	r.pureTook = time.Since(r.at)
	if !*pure {
		var err error
		if r.without, r.enforced, err = playLive(ctx); err != nil {
			return err
		}
		r.liveTook = time.Since(r.at) - r.pureTook
	}
	var text bytes.Buffer
	r.write(&text)
	if *file != "" {
		if err := os.WriteFile(*file, text.Bytes(), 0o644); err != nil {
			return err
		}
	} else if _, err := text.WriteTo(out); err != nil {
		return err
	}
	faults := r.faults()
	for _, f := range faults {
		fmt.Fprintln(out, "FAULT", f)
	}
	fmt.Fprintln(out, r.sum())
	if len(faults) > 0 {
		return errors.New("not all is as it should be: see above")
	}
	return nil
}

// playPure judges all fixtures, on as many cores as there are.
func playPure(all []*fixture) []*tally {
	tallies := make([]*tally, len(all))
	queue := make(chan int)
	var playing sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		playing.Go(func() {
			p := newPlayer()
			for i := range queue {
				tallies[i] = p.judge(all[i])
			}
		})
	}
	for i := range all {
		queue <- i
	}
	close(queue)
	playing.Wait()
	return tallies
}
