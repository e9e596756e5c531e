package offload

import (
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepword/dataplane/internal/links"
)

// AttachAll attaches to the interfaces with these names, without names to all but the
// loopback and the ports of bridges, bonds and teams, also to those that come later, until
// ctx ends; then it returns nil. report is told the result for each; listed is called once,
// behind those that were there. Both are called by the calling goroutine.
func (o *Offload) AttachAll(ctx context.Context, names []string, report func(name string, err error), listed func()) error {
	attach := func(iface int, name string) {
		if err := o.Attach(iface); !gone(err) {
			report(name, err)
		}
	}
	return links.Watch(ctx, names, attach, o.Detach, listed)
}

// gone says whether err is that there is no such interface any more.
func gone(err error) bool {
	return errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV)
}
