package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"keepword/bench/line/load"
)

// What a process of ours says on its standard output, a line each.
const (
	readyLine = "ready" // what it is for can begin
	beginLine = "begin" // the window has begun
	endLine   = "end"   // the window has ended; the figures follow
)

// smtpPort is the one that everything here inspects.
const smtpPort = 25

// thrifty lets a process of the load take less from the gateway: one processor at a time,
// so that no thread spins in search of work, and fewer collections of garbage.
func thrifty() {
	const garbage = 800 // percent of what is in use, which is a few MiB
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(garbage)
}

// server answers SMTP until it is told to stop. With -tell it prints the stamp of each
// message and the hash of what came, before the message is acknowledged.
func server(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	tell := flags.Bool("tell", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	thrifty()
	s, err := load.NewServer()
	if err != nil {
		return err
	}
	if *tell {
		s.Took = func(head string, sum [sha256.Size]byte) { fmt.Fprintf(out, "%x %s\n", sum, head) }
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", smtpPort))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, readyLine)
	return s.Serve(ctx, l)
}

// parseTold reads a line of server -tell.
func parseTold(line string) (head string, sum [sha256.Size]byte, err error) {
	digits, head, _ := strings.Cut(line, " ")
	if len(digits) != hex.EncodedLen(len(sum)) {
		return "", sum, fmt.Errorf("the server says %q", line)
	}
	_, err = hex.Decode(sum[:], []byte(digits))
	return head, sum, err
}

// deliver holds sessions with stamped messages, of workloads at a pace, and prints a line
// for each: its id, and what went wrong, if anything did.
func deliver(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("deliver", flag.ContinueOnError)
	addr := flags.String("server", "", "")
	window := flags.Duration("for", 0, "")
	ids := flags.Uint64("ids", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(*addr)
	if err != nil {
		return err
	}
	var shares []load.Share
	for _, arg := range flags.Args() {
		name, pace, _ := strings.Cut(arg, "=")
		w, err := load.Find(name)
		if err != nil {
			return err
		}
		perSecond, err := strconv.ParseFloat(pace, 64)
		if err != nil {
			return err
		}
		shares = append(shares, load.Share{Workload: w, PerSecond: perSecond})
	}
	thrifty()
	ctx, cancel := context.WithTimeout(ctx, *window)
	defer cancel()
	load.Deliver(ctx, shares, load.IDsFrom(load.ID(*ids)), func() *load.Client { return load.NewClient(to, false) },
		func(id load.ID, err error) {
			failure := ""
			if err != nil {
				failure = strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			fmt.Fprintf(out, "%s %s\n", id, failure)
		})
	return nil
}

// deliverArgs are the arguments by which deliver is started.
func deliverArgs(to netip.AddrPort, shares []load.Share, window time.Duration, first load.ID) []string {
	args := []string{"deliver", "-server", to.String(), "-for", window.String(), "-ids", strconv.FormatUint(uint64(first), 10)}
	for _, s := range shares {
		args = append(args, fmt.Sprintf("%s=%g", s.Name, s.PerSecond))
	}
	return args
}

// parseDelivered reads a line of deliver.
func parseDelivered(line string) (load.ID, string, error) {
	digits, failure, _ := strings.Cut(line, " ")
	id, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return 0, "", fmt.Errorf("the client says %q", line)
	}
	return load.ID(id), failure, nil
}

// client runs a workload and prints its Figures as JSON.
func client(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	addr := flags.String("server", "", "")
	name := flags.String("workload", "", "")
	warm := flags.Duration("warm", 0, "")
	window := flags.Duration("for", 0, "")
	pipelining := flags.Bool("pipelining", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(*addr)
	if err != nil {
		return err
	}
	w, err := load.Find(*name)
	if err != nil {
		return err
	}
	thrifty()
	f := load.Run(ctx, w, load.Window{
		Warm: *warm, For: *window,
		Begins: func() { fmt.Fprintln(out, beginLine) },
		Ends:   func() { fmt.Fprintln(out, endLine) },
	}, func() *load.Client { return load.NewClient(to, *pipelining) })
	return json.NewEncoder(out).Encode(f)
}

// clientArgs are the arguments by which client is started.
func clientArgs(to netip.AddrPort, w load.Workload, warm, window time.Duration, pipelining bool) []string {
	return []string{"client", "-server", to.String(), "-workload", w.Name, "-warm", warm.String(),
		"-for", window.String(), fmt.Sprintf("-pipelining=%v", pipelining)}
}
