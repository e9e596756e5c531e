//go:build lab

package bpf_test

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"keepword/bpf"
)

// The verifier gives up behind a million instructions; kernels differ a little in how they
// count.
func TestTheVerifierTakesTheProgramWithRoomToSpare(t *testing.T) {
	spec, err := bpf.LoadFollow()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	if verifier := (*ebpf.VerifierError)(nil); errors.As(err, &verifier) {
		for _, line := range verifier.Log[max(0, len(verifier.Log)-50):] {
			t.Log(line)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, program := range c.Programs {
		info, err := program.Info()
		if err != nil {
			t.Fatal(err)
		}
		const most = 500_000
		if n, _ := info.VerifiedInstructions(); n > most {
			t.Errorf("%s takes %d instructions to verify, more than %d", name, n, most)
		}
	}
}
