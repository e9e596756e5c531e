// Command lawful proves that keepword does nothing to lawful mail. It passes a corpus of
// lawful SMTP sessions through the inspection as it runs in mode enforce, and fails where
// anything was done to one: a packet dropped, altered, held back or sent, or a finding
// that asks for it.
//
//	go run ./bench/lawful [-n 2200] [-seed 0] [DIR...]
//	go run ./bench/lawful -record DIR
//	go run ./bench/lawful -files DIR
//
// The first judges n generated dialogues, each in every cut, and the captures of the
// directories, by default those that are kept in bench/lawful/testdata. The second, as root,
// records such captures between real clients and servers in the lab. The third reads every
// file below a directory as a message: manual pages, sources, logs and whatever else people
// mail, with the line ends that careless programs give it. One that would be ended is to be
// looked at; it is no failure.
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
		fmt.Fprintln(os.Stderr, "lawful:", err)
		os.Exit(1)
	}
}

// kept captures, from the repository's root.
const testdata = "bench/lawful/testdata"

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lawful", flag.ExitOnError)
	n := flags.Int("n", 2200, "number of generated dialogues")
	seed := flags.Uint64("seed", 0, "seed of the first; each has the next")
	verbose := flags.Bool("v", false, "name everything that was judged, with its findings")
	recordTo := flags.String("record", "", "record captures into this `directory`, and judge them only")
	files := flags.String("files", "", "read the files below this `directory` as messages, and do nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *files != "" {
		return judgeFiles(*files, out)
	}
	dirs := flags.Args()
	if *recordTo != "" {
		if err := recordAll(ctx, *recordTo, out); err != nil {
			return err
		}
		dirs, *n = []string{*recordTo}, 0
	} else if len(dirs) == 0 {
		dirs = []string{testdata}
	}
	list := judgeAll(*seed, *n)
	for _, dir := range dirs {
		recorded, err := judgeCaptures(ctx, dir)
		if err != nil {
			return err
		}
		list = append(list, recorded...)
	}
	faulty := 0
	for _, j := range list {
		if *verbose {
			fmt.Fprintf(out, "%s: %s\n", j.name, logged(&j.findings))
		}
		if len(j.faults) > 0 {
			faulty++
			fmt.Fprintln(out, j.tell())
		}
	}
	fmt.Fprint(out, format(list))
	fmt.Fprint(out, "\n", tellBoundary())
	if faulty > 0 {
		return errors.New("something was done to lawful sessions: see above")
	}
	return nil
}
