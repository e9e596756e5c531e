package main

import (
	"flag"
	"fmt"
)

func main() {
	depth := flag.Int("depth", 2, "departures of a run")
	flag.Parse()
	for _, s := range scenes() {
		r := explore(s, *depth, func(r *result) bool { return len(r.falls) >= maxFalls })
		fmt.Println(r, r.checks, r.known)
		for _, f := range r.falls {
			fmt.Println(f.what)
			again(s, *depth, f, func(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) })
		}
	}
}
