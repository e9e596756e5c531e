package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is processor time that was used since some moment in the past.
type usage struct {
	// process is that of the program on the gateway, 0 where there is none.
	process time.Duration
	// machine is that of all programs and of the kernel, interrupts included. What a
	// gateway's kernel does for a packet can't be told from what the other hosts' does.
	machine time.Duration
}

// use reads what a process has used, none where pid is 0, and what the machine has.
func use(pid int) (usage, error) {
	machine, err := machineTime()
	if err != nil || pid == 0 {
		return usage{machine: machine}, err
	}
	process, err := processTime(pid)
	return usage{process, machine}, err
}

func (u usage) since(before usage) usage {
	return usage{u.process - before.process, u.machine - before.machine}
}

// processTime reads the processor time of all threads of a process, in nanoseconds, by
// its clock (clock_getcpuclockid(3): the complement of the number, and CPUCLOCK_SCHED).
func processTime(pid int) (time.Duration, error) {
	const cpuClockSched = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &t); err != nil {
		return 0, fmt.Errorf("read the clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// machineTime reads from /proc/stat (proc_stat(5)) how long processors were busy. Its
// resolution is a hundredth of a second.
func machineTime() (time.Duration, error) {
	const tick = time.Second / 100 // USER_HZ
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, iowait, irq, softirq int64
	line, _, _ := strings.Cut(string(text), "\n")
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("/proc/stat begins %q: %w", line, err)
	}
	return time.Duration(user+nice+system+irq+softirq) * tick, nil
}
