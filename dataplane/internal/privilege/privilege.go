// Package privilege tells a refusal for want of a capability (capabilities(7)) from
// every other refusal, and says what to do about it.
package privilege

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Err is what every lack of a capability is.
var Err = errors.New("run as root, or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW")

// NetAdmin and NetRaw are the capabilities that the data plane needs, and BPF and Perfmon
// those that the kernel's own share needs besides.
const (
	NetAdmin Capability = unix.CAP_NET_ADMIN
	NetRaw   Capability = unix.CAP_NET_RAW
	BPF      Capability = unix.CAP_BPF
	Perfmon  Capability = unix.CAP_PERFMON
)

// Capability is the number of a capability, as in linux/capability.h.
type Capability uint

// String returns the capability's name.
func (c Capability) String() string {
	switch c {
	case NetAdmin:
		return "CAP_NET_ADMIN"
	case NetRaw:
		return "CAP_NET_RAW"
	case BPF:
		return "CAP_BPF"
	case Perfmon:
		return "CAP_PERFMON"
	}
	return fmt.Sprintf("capability %d", uint(c))
}

// Needs returns the error for a missing c. It wraps Err.
func Needs(c Capability) error {
	return fmt.Errorf("needs %v: %w", c, Err)
}

// Has says whether the calling thread holds c. Within a user namespace the answer
// is about that namespace, which may own less than the network namespace: a held
// capability does not promise that the kernel grants what it stands for.
func Has(c Capability) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	// Version 3 has two sets of 32 capabilities each (capget(2)).
	var sets [2]unix.CapUserData
	if err := unix.Capget(&hdr, &sets[0]); err != nil {
		return false
	}
	return sets[c/32].Effective&(1<<(c%32)) != 0
}

// Refused says whether err is the kernel's refusal for want of a privilege.
func Refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}
