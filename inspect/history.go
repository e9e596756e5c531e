package inspect

import (
	"net/netip"

	"keepword/inspect/history"
)

// History is what a Pipeline needs of the memory of servers: *history.History, or what
// lets several workers share one. Its methods are called on the packet path, some times a
// session, and must not block for long.
type History interface {
	Recall(client netip.Addr, server netip.AddrPort, now int64, mayHide bool) (history.Memory, history.Change)
	Note(server netip.AddrPort, seen history.Seen) history.Change
	Failed(client netip.Addr, server netip.AddrPort, now int64)
	Lookup(server netip.AddrPort) (history.Record, bool)
}

var _ History = (*history.History)(nil)
