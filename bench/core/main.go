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
	"strings"
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
	if err := flags.Parse(args); err != nil {
		return err
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
	page := circumstances(*rounds) + "\n" + markdown(rows)
	fmt.Fprint(out, page)
	if *file == "" {
		return nil
	}
	return place(*file, page)
}

// The marker comments stand before and behind the table in a file that has more.
const (
	beginMarker = "<!-- core table: begin -->\n"
	endMarker   = "<!-- core table: end -->\n"
)

// place writes page between the markers of a file, or makes the file.
func place(file, page string) error {
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		old = []byte(beginMarker + endMarker)
	case err != nil:
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMarker)
	_, after, closed := strings.Cut(rest, endMarker)
	if !ok || !closed {
		return fmt.Errorf("%s has no lines %q and %q for the table to stand between: add them", file, strings.TrimSpace(beginMarker), strings.TrimSpace(endMarker))
	}
	return os.WriteFile(file, []byte(before+beginMarker+"\n"+page+"\n"+endMarker+after), 0o644)
}
