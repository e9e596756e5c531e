package nfqueue

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"keepword/inspect/verdict"
)

func TestAnErrorNamesItsQueue(t *testing.T) {
	for want, err := range map[string]error{
		"receive queue 2501: no such device": &OpError{"receive", 2501, unix.ENODEV},
		"queue 2500 is taken by process 123 (suricata); choose another with queues.first": &OpError{"open", 2500,
			&takenError{2500, Process{PID: 123, Name: "suricata"}}},
		"queue 2500 is taken by another process; choose another with queues.first": &OpError{"open", 2500,
			&takenError{queue: 2500}},
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if !errors.Is(&OpError{"open", 1, &takenError{}}, ErrQueueTaken) {
		t.Error("a taken queue is not ErrQueueTaken")
	}
}

func TestEveryVerdictHasACounter(t *testing.T) {
	if verdict.Kind(verdictKinds).String() != "invalid" || (verdictKinds-1).String() == "invalid" {
		t.Errorf("%d counters", verdictKinds)
	}
}
