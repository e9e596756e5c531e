package privilege

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAMissingCapabilityIsNamed(t *testing.T) {
	err := Needs(NetRaw)
	if !errors.Is(err, Err) || err.Error() != "needs CAP_NET_RAW: run as root, or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW" {
		t.Errorf("got %v", err)
	}
}

func TestOnlyARefusalIsOne(t *testing.T) {
	for err, want := range map[error]bool{
		unix.EPERM:                             true,
		unix.EACCES:                            true,
		os.NewSyscallError("send", unix.EPERM): true,
		fmt.Errorf("x: %w", unix.EPERM):        true,
		unix.ENOENT:                            false,
		errors.New("EPERM"):                    false,
	} {
		if Refused(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

func TestACapabilityThatDoesNotExistIsNotHeld(t *testing.T) {
	if Has(63) { // the kernel has 41
		t.Error("held")
	}
}
