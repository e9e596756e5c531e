package main

import "testing"

func TestProf(t *testing.T) {
	for _, s := range scenes()[:1] {
		n := 0
		r := explore(s, 2, func(r *result) bool {
			n++
			if n%5000 == 0 || n < 5 {
				t.Log(r.executions, len(r.falls))
			}
			return n > 400000
		})
		t.Log(r)
	}
}
