package main

import (
	_ "embed"
	"strconv"
	"strings"
)

// golden lists each finding's signature_id, which must never change: a site's own rules
// and dashboards name it.
//
//go:embed signatures.txt
var golden string

// signatures is golden, by the finding's id.
var signatures = func() map[string]int {
	all := map[string]int{}
	for line := range strings.Lines(golden) {
		id, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			panic("signatures.txt: " + line)
		}
		all[id] = n
	}
	return all
}()
