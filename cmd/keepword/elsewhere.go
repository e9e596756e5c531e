//go:build !linux

package main

import (
	"context"
	"fmt"
	"runtime"
)

// run stands for the gateway where there is none: the queues, the packet filter and the BPF
// programs that it works with are Linux's. What reads captures, events and configurations
// does its work everywhere.
func run(context.Context, *env, string) error { return needsLinux("run") }

// needsLinux is the error of a command that this system can't do.
func needsLinux(command string) error {
	return fmt.Errorf("%s needs Linux, and this is %s: run it on the gateway; replay, explain --from and check work here", command, runtime.GOOS)
}
