package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
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

// server answers SMTP until it is told to stop.
func server(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		return errors.New("server has no arguments")
	}
	thrifty()
	s, err := load.NewServer()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", smtpPort))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, readyLine)
	return s.Serve(ctx, l)
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
