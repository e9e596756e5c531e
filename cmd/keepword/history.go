package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/control"
	"keepword/cmd/keepword/internal/store"
	"keepword/inspect/history"
)

// historyTime bounds how long a command waits for the daemon: a full history is 40 MB.
const historyTime = 2 * time.Minute

func newHistory(e *env) *cobra.Command {
	var path *string
	var asJSON *bool
	cmd := command("history [ADDRESS[:PORT]]", "Show what is remembered of servers", cobra.MaximumNArgs(1),
		func(ctx context.Context, args []string) error {
			q, err := query(args, len(args) == 0)
			if err != nil {
				return usageError{fmt.Errorf("%w, or one of export, merge, forget", err)}
			}
			return showHistory(ctx, e, *path, q, *asJSON)
		})
	path = cmd.PersistentFlags().StringP("config", "c", "", "configuration `FILE` (default: built in)")
	asJSON = cmd.Flags().Bool("json", false, "print JSON, an object a line")
	cmd.Long = cmd.Short + ".\n\nThe running daemon is asked; where none runs, the file history.path of the configuration\nis read or written."
	cmd.AddCommand(
		command("export [FILE]", "Write all of it as JSON, an object a line (-, the default: stdout)", cobra.MaximumNArgs(1),
			func(ctx context.Context, args []string) error {
				return exportHistory(ctx, e, *path, append(args, "-")[0])
			}),
		command("merge FILE...", "Take up what other gateways have exported (-: stdin)", cobra.MinimumNArgs(1),
			func(ctx context.Context, args []string) error { return mergeHistory(ctx, e, *path, args) }),
		newForget(e, &path),
	)
	return cmd
}

func newForget(e *env, path **string) *cobra.Command {
	var all *bool
	cmd := command("forget ADDRESS[:PORT]...", "Forget servers, so that they are met as if for the first time", cobra.ArbitraryArgs,
		func(ctx context.Context, args []string) error {
			if *all == (len(args) > 0) {
				return usageError{errors.New("name servers to forget, or --all")}
			}
			q, err := query(args, *all)
			if err != nil {
				return usageError{err}
			}
			return forgetHistory(ctx, e, **path, q)
		})
	all = cmd.Flags().Bool("all", false, "forget every server")
	return cmd
}

// query is about the servers that args name, or about all.
func query(args []string, all bool) (control.ServerQuery, error) {
	q := control.ServerQuery{All: all}
	for _, s := range args {
		server, err := netip.ParseAddrPort(s)
		if a, bare := netip.ParseAddr(s); bare == nil {
			server, err = netip.AddrPortFrom(a, 0), nil
		}
		if err != nil {
			return q, fmt.Errorf("%q is no server; write it as 192.0.2.25, 192.0.2.25:25 or [2001:db8::25]:25", s)
		}
		q.Servers = append(q.Servers, netip.AddrPortFrom(server.Addr().Unmap(), server.Port()))
	}
	return q, nil
}

// entries returns what m remembers of the servers, the one seen last first.
func entries(ctx context.Context, m memory, q control.ServerQuery) ([]store.Entry, error) {
	var list []store.Entry
	err := m.each(ctx, q, func(e store.Entry) error {
		if list = append(list, e); len(list) > 2*store.MaxServers {
			return errors.New("the history has no end")
		}
		return nil
	})
	slices.SortFunc(list, func(a, b store.Entry) int {
		return cmp.Or(cmp.Compare(b.Record.Last, a.Record.Last), a.Server.Compare(b.Server))
	})
	return list, err
}

func showHistory(ctx context.Context, e *env, path string, q control.ServerQuery, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	m, err := openMemory(ctx, e, path, true)
	if err != nil {
		return err
	}
	list, err := entries(ctx, m, q)
	if err := errors.Join(err, m.close(ctx)); err != nil {
		return err
	}
	switch {
	case len(list) == 0 && !q.All:
		return errors.New("nothing is remembered of that server; keepword history lists those that are")
	case asJSON:
		return writeLines(e.stdout, list)
	case q.All:
		return writeTable(e.stdout, list, time.Now())
	}
	return writeDetails(e.stdout, list, time.Now())
}

// writeLines writes entries as JSON, one a line.
func writeLines(w io.Writer, list []store.Entry) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, e := range list {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return out.Flush()
}

func exportHistory(ctx context.Context, e *env, path, file string) error {
	if file == "-" {
		return showHistory(ctx, e, path, control.ServerQuery{All: true}, true)
	}
	to := *e
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		// A device or a FIFO is written to: a file must not take its place.
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		to.stdout = f
		return errors.Join(showHistory(ctx, &to, path, control.ServerQuery{All: true}, true), f.Close())
	}
	// A half export is worse than none: it gets its name when it is whole.
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".")
	if err != nil {
		return err
	}
	to.stdout = f
	err = showHistory(ctx, &to, path, control.ServerQuery{All: true}, true)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func forgetHistory(ctx context.Context, e *env, path string, q control.ServerQuery) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	m, err := openMemory(ctx, e, path, false)
	if err != nil {
		return err
	}
	n, err := m.forget(ctx, q)
	if err := errors.Join(err, m.close(ctx)); err != nil {
		return err
	}
	if n == 0 && !q.All {
		return errors.New("nothing is remembered of that; keepword history lists the servers that are")
	}
	_, err = fmt.Fprintf(e.stdout, "%s forgotten\n", plural(n, "server", "servers"))
	return err
}

// mergeHistory takes up files, each as a whole or not at all.
func mergeHistory(ctx context.Context, e *env, path string, files []string) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	m, err := openMemory(ctx, e, path, false)
	if err != nil {
		return err
	}
	var bad error
	for _, name := range files {
		n, err := mergeFile(ctx, m, e.stdin, name)
		if err != nil {
			e.report(err)
			bad = errReported
			continue
		}
		fmt.Fprintf(e.stdout, "%s: %s merged\n", name, plural(n, "server", "servers"))
	}
	if err := m.close(ctx); err != nil {
		return err
	}
	return bad
}

// atOnce is how many entries are merged together: they have some 750 KB at the most, and a
// request to the daemon 1 MiB.
const atOnce = 512

// mergeFile merges a file, and returns how many servers it tells of. All of it is read
// first, by a history of its own, which keeps to the bound.
func mergeFile(ctx context.Context, m memory, stdin io.Reader, name string) (int, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		in = f
	}
	read := history.New(history.Config{Servers: store.MaxServers})
	var bad error
	read.Merge(func(yield func(netip.AddrPort, history.Record) bool) {
		bad = store.ReadEntries(in, time.Now(), func(e store.Entry) { yield(e.Server, e.Record) })
	})
	if bad != nil {
		return 0, fmt.Errorf("%s: nothing of it is merged: %w", name, bad)
	}
	var some []store.Entry
	var err error
	merge := func() bool {
		err = m.merge(ctx, some)
		some = some[:0]
		return err == nil
	}
	read.Each(func(server netip.AddrPort, r *history.Record) bool {
		some = append(some, store.Entry{Server: server, Record: *r})
		return len(some) < atOnce || merge()
	})
	if err == nil && len(some) > 0 {
		merge()
	}
	return read.Len(), err
}
