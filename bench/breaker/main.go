// Command breaker shows what keepword remembers of servers and what follows from it: the
// circuit breaker, from a server's first failure to its recovery, and the marks of somebody
// who takes TLS away. Each story is played through keepword on a gateway, with Postfix as
// the client, and ends as it must or is a fault.
//
//	go run ./bench/breaker -o docs/breaker.md
//
// It builds hosts in network namespaces and needs root; the machine's own network and mail
// are never touched.
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
	"strings"
	"syscall"
	"time"
)

// limit bounds the whole run.
const limit = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "breaker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("breaker", flag.ExitOnError)
	file := flags.String("o", "", "write the stories to this file (docs/breaker.md) instead of printing them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stories, err := play(ctx)
	if err != nil {
		return err
	}
	if all := faults(stories); len(all) > 0 {
		// The tables would not tell what has happened.
		return errors.New("not all is as it should be:\n" + strings.Join(all, "\n"))
	}
	var text bytes.Buffer
	write(&text, stories)
	if *file != "" {
		return os.WriteFile(*file, text.Bytes(), 0o644)
	}
	_, err = text.WriteTo(out)
	return err
}

// faults are those of all stories.
func faults(stories []*story) (all []string) {
	for _, s := range stories {
		for _, f := range s.faults {
			all = append(all, s.title+": "+f)
		}
	}
	return all
}
