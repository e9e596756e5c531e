package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What reads captures, events and configurations is of use on the computer of whoever has
// them, whatever that runs.
func TestItIsSoundOnSystemsThatAreNoGateway(t *testing.T) {
	for _, system := range []string{"darwin/arm64", "darwin/amd64", "freebsd/amd64", "linux/arm64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		vet := exec.CommandContext(t.Context(), "go", "vet", "keepword/cmd/keepword/...")
		vet.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		if out, err := vet.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
	}
}
