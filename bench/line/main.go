// Command line measures what standing on a gateway costs the mail that goes through it:
// nothing but the kernel's forwarding, keepword in several configurations, and others.
// Client, gateway and server are network namespaces of this machine, joined by veth pairs;
// it needs root. See bench/README.md for the table and what its figures mean.
//
//	go run ./bench/line                       # prints the tables
//	go run ./bench/line -o bench/README.md    # and puts them in place of those there
//	go run ./bench/line soak -for 1h          # an hour of mixed load through keepword
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"keepword/bench/figures"
	"keepword/bench/line/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "line:", err)
		os.Exit(1)
	}
}

// run does what the first argument says; without a word there it compares. The words
// client, server, accept and deliver are for the processes that it starts of itself in the hosts.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"client": client, "server": server, "accept": accept, "deliver": deliver, "soak": soak,
	}
	if len(args) > 0 {
		if command, ok := commands[args[0]]; ok {
			return command(ctx, args[1:], out)
		}
	}
	return compare(ctx, args, out, progress)
}

// compare makes the tables.
func compare(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("line", flag.ExitOnError)
	var p plan
	file := flags.String("o", "", "write the tables to this file; where it has the two marker comments, between them")
	flags.IntVar(&p.rounds, "rounds", 5, "runs of each subject under each workload, in turn")
	flags.DurationVar(&p.window, "time", 1500*time.Millisecond, "how long a run is measured")
	flags.DurationVar(&p.warm, "warm", 300*time.Millisecond, "how long it has run before")
	flags.BoolVar(&p.ipv6, "6", false, "over IPv6")
	flags.BoolVar(&p.pipelining, "pipelining", false, "say MAIL, RCPT and DATA in one go")
	subjects := flags.String("subjects", "", "only those with one of these words in their names, by commas; raw forwarding always")
	workloads := flags.String("workloads", "", "only these, by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || p.rounds < 1 || p.window <= 0 || p.warm < 0 {
		return errors.New("-rounds and -time must be more than 0, and there are no other arguments than flags, or soak")
	}
	p.subjects = chosen(*subjects)
	if p.workloads = load.Workloads; *workloads != "" {
		p.workloads = nil
		for name := range strings.SplitSeq(*workloads, ",") {
			w, err := load.Find(name)
			if err != nil {
				return err
			}
			p.workloads = append(p.workloads, w)
		}
	}
	p.progress = func(text string) { fmt.Fprintln(progress, text) }

	results, err := p.play(ctx)
	if err != nil {
		return err
	}
	command := strings.TrimSpace("go run ./bench/line " + strings.Join(without(args, *file), " "))
	page := fmt.Sprintf("%s; medians and (least – greatest) of %d runs of %v each.\n\n%s",
		figures.Circumstances(command), p.rounds, p.window, results.markdown())
	fmt.Fprint(out, page)
	if *file != "" {
		if err := figures.Place(*file, "line table", page); err != nil {
			return err
		}
	}
	return results.invalid()
}

// without leaves -o and its file out of the arguments: they make no difference.
func without(args []string, file string) (rest []string) {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-o", "--o":
			i++
		case "-o=" + file, "--o=" + file:
		default:
			rest = append(rest, args[i])
		}
	}
	return rest
}
