// Command core measures the inspection core alone, packets in memory, on one core,
// against the targets that the project has set itself, with a baseline beside each
// figure that is measured in the same run. See bench/README.md for what the figures mean.
//
//	go run ./bench/core                       # prints the table
//	go run ./bench/core -o bench/README.md    # and puts it in place of the one there
//
// The same work is in the package's Go benchmarks: go test -bench . ./bench/core.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"keepword/bench/figures"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "core:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("core", flag.ExitOnError)
	file := flags.String("o", "", "write the table to this file; where the file has the two marker comments, between them")
	rounds := flags.Int("rounds", 5, "samples of each figure")
	flows := flags.Int("flows", 1_000_000, "how many connections are many; the targets are about a million")
	sessions := flags.Int(idleFlag, 0, "only open so many sessions, leave them idle, and print the memory that is resident then")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *sessions > 0 {
		return idle(*sessions, out)
	}
	if *rounds < 1 || *flows < 1000 {
		return errors.New("-rounds must be at least 1, and -flows 1000")
	}
	b, err := newBench(*rounds, *flows, func(part string) { fmt.Fprintln(progress, "measuring:", part) })
	if err != nil {
		return err
	}
	rows, err := b.all()
	if err != nil {
		return err
	}
	page := fmt.Sprintf("%s, huge pages %s; medians and spreads of %d rounds.\n\n%s",
		figures.Circumstances("go run ./bench/core"), figures.HugePages(), *rounds, markdown(rows))
	fmt.Fprint(out, page)
	if *file == "" {
		return nil
	}
	return figures.Place(*file, "core table", page)
}
