// Command explore proves the truths T1 to T4 of STARTTLS on the real inspection code, as far
// as it goes: it plays every run of a small mail client, a small server and a middlebox,
// each of which may do whatever the catalogue of findings names, through a Pipeline that is
// driven as an engine drives it, and judges each state in which nothing is under way.
//
// # Depth
//
// A run is a sequence of choices. Plain is what current and honest programs do: the client
// asks for TLS where it is offered, the server grants it, the box passes everything, each
// says what it says in one segment. Any other choice is a departure: another command,
// spelling or order, another reply or none, a deed of the box, a place where a segment is
// cut. Depth is how many departures a run may make; all runs within it are played. In what
// order a node hears its two neighbours, and whether a client takes a 2yz other than 220 for
// a yes, costs nothing: every order and both answers are played always. (Segments of one
// octet each come one right behind the other: of those, all orders would be too many.) Runs
// that meet in the same state go on as one, and orders that nobody can tell apart are played
// once: world.digest and world.events say why, and tests that play all of them that nothing
// is lost.
//
// # What keepword answers for
//
// The truths are judged on both faces of keepword, for that is where it can keep them: what
// came from the west (the client's side) against what left for the east (the server's), and
// back.
//
//   - A box before the server is part of the server's side: what it says in the server's
//     place is judged as the server's word, and T3 asks all the same that the true server
//     and the true client agree, or that the connection is ended for both.
//   - A box before the client can make the client believe what it likes, behind keepword's
//     back. There T3 is asked of what left keepword for the west: whoever reads that, the
//     server must agree with.
//   - A reply that leaves before the command has come that it is taken to answer can't be
//     called back. For STARTTLS keepword must then let nothing through (T1).
//   - A server begins TLS at its 220 and at no other code (RFC 3207 section 4).
//   - Whom the server or a box leaves without an answer waits for them; keepword promises an
//     end to waiting only for TLS (the second limit of silence-after-220).
//   - A reply that comes in while the command waits in a queue, which it is taken to answer, is
//     like one that comes in behind it: both are on their way. A 220 to STARTTLS is not: its
//     segment tells which was first.
//   - In the middle of a line nothing is judged: command and reply are judged as lines, and
//     that no octet is kept back is judged at the end, when no timer is left.
//
// # The kernel's own share
//
// With -kernel each packet goes through the real program of package bpf first (package
// bench/follow runs it), with its maps, and inspection gets what it does not exempt, behind what
// it has logged. The server is one that inspection has granted before, or becomes one in the
// run. The log is read behind each packet, or only when a packet comes up or time passes, and
// then to read it at any other moment is a departure. So is that what has come up waits in its
// queue until the next packet has come, and that a packet comes in the middle of the gateway's
// work: before the log is read, or between what inspection grants and when the program learns
// of it. The truths are the same, and one more: what the program has let through inspection
// would have let through as it stands.
//
// TCP itself is played fair here: nothing is lost, repeated or forged (bench/schedule does
// that).
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	depth := flag.Int("depth", 2, "departures that a run may make")
	only := flag.String("only", "", "explore only where `text` is in the policy's name or the chain's (auto, box-server, ...)")
	kernel := flag.Bool("kernel", false, "with the kernel's own program, which takes root")
	flag.Parse()
	all := scenes()
	if *kernel {
		programs, err := loadPrograms(runtime.GOMAXPROCS(0))
		if err != nil {
			fmt.Fprintf(os.Stderr, "explore: %v\n", err)
			os.Exit(1)
		}
		all = sharedScenes(programs)
	}
	var list []scene
	for _, s := range all {
		if strings.Contains(s.name+" "+s.place.String(), *only) {
			list = append(list, s)
		}
	}
	if flag.NArg() > 0 || *depth < 0 || len(list) == 0 {
		fmt.Fprintf(os.Stderr, "explore: give a depth of 0 or more, and a text that names a policy or a chain\n")
		os.Exit(2)
	}
	if !report(list, *depth) {
		os.Exit(1)
	}
}

// report explores scenes and prints what was found. It says whether all truths held.
func report(list []scene, depth int) bool {
	began := time.Now()
	total := &result{depth: depth}
	fmt.Printf("%-8s %-27s %5s %10s %10s %9s", "policy", "chain", "depth", "runs", "states", "rests")
	if list[0].share != nil {
		fmt.Printf(" %9s %9s %9s %9s", "followed", "in TLS", "came up", "grants")
	}
	fmt.Println()
	for r := range search(list, depth) {
		fmt.Println(r)
		for _, f := range r.falls {
			fmt.Printf("  %s\n", strings.Join(f.what, "\n  "))
			again(r.scene, depth, f, func(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) })
		}
		total.add(r)
	}
	fmt.Println(total)
	fmt.Printf("\n%-12s %12s %9s\n", "truth", "checks", "fell")
	for t := range truths {
		fmt.Printf("%-12v %12d %9d\n", t, total.checks[t], total.fallen[t])
	}
	fmt.Printf("%.0f s\n", time.Since(began).Seconds())
	return total.fallen == [truths]int{}
}
