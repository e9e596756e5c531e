// Command matrix runs every client of the lab against every kind of server and
// middlebox, without keepword and with it, and writes down what became of the mail,
// what keepword found, and whether any octet was altered that must not be.
//
// It builds its hosts in network namespaces and needs root; the machine's own
// network and mail are never touched.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// limit bounds the whole run.
const limit = 15 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("matrix", flag.ExitOnError)
	only := flags.String("rows", "", "run only the rows whose name matches this regular expression, and no deliveries")
	out := flags.String("o", "", "write the tables to this file (all rows: docs/matrix.md)")
	verbose := flags.Bool("v", false, "print each client's account, and the outcome and findings of each session")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	whole := *only == ""
	if whole && *out == "" {
		*out = "docs/matrix.md"
	}
	chosen := slices.DeleteFunc(rows(), func(r row) bool { return !pattern.MatchString(r.name) })
	r := &result{at: time.Now()}
	if r.cells, err = playAll(ctx, chosen, columns); err != nil {
		return err
	}
	if whole {
		if r.deliveries, err = deliverAll(ctx); err != nil {
			return err
		}
	}
	r.took = time.Since(r.at)
	if *verbose {
		r.print(os.Stdout)
	}
	if *out != "" {
		var text bytes.Buffer
		r.write(&text)
		if err := os.WriteFile(*out, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	faults := r.faults()
	for _, f := range faults {
		fmt.Println("FAULT", f)
	}
	fmt.Printf("%d cells, %d deliveries, %d faults, %.0f s\n", len(r.cells), len(r.deliveries), len(faults), r.took.Seconds())
	if len(faults) > 0 {
		return errors.New("not all is as it should be: see above")
	}
	return nil
}

// playAll runs the rows and columns in every setting, each in a lab of its own, all
// at the same time.
func playAll(ctx context.Context, rows []row, columns []column) ([]*cell, error) {
	dir, remove, err := tempDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	stages := make([]*stage, len(settings))
	errs := make([]error, len(settings))
	var playing sync.WaitGroup
	for i, s := range settings {
		playing.Go(func() {
			if stages[i], errs[i] = newStage(ctx, s, rows, columns, dir); errs[i] != nil {
				return
			}
			errs[i] = stages[i].play(ctx)
			if err := stages[i].close(); errs[i] == nil {
				errs[i] = err
			}
		})
	}
	playing.Wait()
	var cells []*cell
	for i, st := range stages {
		if errs[i] != nil {
			return nil, fmt.Errorf("%s: %w", settings[i], errs[i])
		}
		cells = append(cells, st.cells...)
	}
	return cells, nil
}
