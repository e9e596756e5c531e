// Command replay measures keepword replay on large captures that it makes itself: speed
// beside Suricata's, where that is installed, and whether memory grows with the file. See
// bench/README.md for what the figures mean.
//
//	go run ./bench/replay                       # prints the table
//	go run ./bench/replay -o bench/README.md    # and puts it in place of the one there
//	go run ./bench/replay -keep 1200 mail.pcap  # only makes a capture of 1,200 MB
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"keepword/bench/figures"
)

// megaoctet is what sizes are given in.
const megaoctet = 1_000_000

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("replay", flag.ExitOnError)
	readme := flags.String("o", "", "write the table to this file too, between its marker comments")
	rounds := flags.Int("rounds", 5, "runs of each program")
	list := flags.String("sizes", "100,500,1200,2400", "the captures' sizes in MB; speed is measured on the last")
	keep := flags.Int64("keep", 0, "only write a capture of so many MB, to the file named")
	dir := flags.String("dir", "", "where the captures are made, and removed again (default: the system's directory for temporary files)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *keep > 0 && flags.NArg() == 1 {
		_, err := writeCapture(flags.Arg(0), *keep*megaoctet)
		return err
	}
	sizes, err := numbers(*list)
	if err != nil || *rounds < 1 || *keep != 0 || flags.NArg() > 0 {
		return errors.New("-sizes wants whole numbers with commas between, -rounds at least 1, -keep a number and a FILE")
	}
	at, err := os.MkdirTemp(*dir, "keepword-replay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(at)
	b := bench{dir: at, rounds: *rounds, keepword: filepath.Join(at, "keepword"), said: progress}
	build := exec.Command("go", "build", "-trimpath", "-o", b.keepword, "./cmd/keepword")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/keepword: %w: %s", err, said)
	}
	if b.suricata, err = exec.LookPath("suricata"); err != nil {
		fmt.Fprintln(progress, "suricata is not installed, and left out (Debian has it in bookworm-backports)")
	}
	page, err := b.page(sizes)
	if err != nil {
		return err
	}
	fmt.Fprint(out, page)
	if *readme == "" {
		return nil
	}
	return figures.Place(*readme, "replay table", page)
}

func numbers(list string) (n []int64, err error) {
	for _, s := range strings.Split(list, ",") {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 1 {
			return nil, fmt.Errorf("%q is no size", s)
		}
		n = append(n, v)
	}
	return n, nil
}
