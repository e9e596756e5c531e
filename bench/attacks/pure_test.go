package main

import (
	"sync"
	"testing"
)

func TestNoKnownAttackSucceedsInAnyCut(t *testing.T) {
	all := fixtures()
	tallies := make([]*tally, len(all))
	queue := make(chan int)
	var playing sync.WaitGroup
	for range 2 {
		p, err := newPlayer()
		if err != nil {
			t.Fatal(err)
		}
		playing.Go(func() {
			for i := range queue {
				tallies[i] = p.judge(all[i])
			}
		})
	}
	for i := range all {
		queue <- i
	}
	close(queue)
	playing.Wait()
	harmed := map[*class]int{}
	cells, faulty := 0, 0
	for _, y := range tallies {
		for _, n := range y.cells {
			cells += n
		}
		faulty += y.faulty
		harmed[y.class] += y.harmed[logging]
		for _, f := range y.faults {
			t.Error(f)
		}
	}
	t.Logf("%d fixtures, %d cells, %d faults, harmed %v", len(all), cells, faulty, harmed)
}
