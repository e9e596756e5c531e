//go:build lab

package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Each file of testdata/lab is one scenario of the running daemon. What it starts with
// unshare(1) has a network namespace of its own, which ends with it.
func TestTheDaemonStartsAndStopsAsPromised(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the lab tests make network namespaces: run them as root")
	}
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/lab",
		Deadline: time.Now().Add(2 * time.Minute),
	})
}
