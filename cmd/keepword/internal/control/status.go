package control

import (
	"net/netip"
	"slices"
	"time"
)

// Status is what the daemon tells of itself. The names of its JSON members are
// relied upon by scripts (keepword status --json): members may be added, none is
// renamed. Counters start at 0 with the daemon.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	Mode  string   `json:"mode"` // enforce or observe
	Ports []uint16 `json:"ports"`
	Hooks []string `json:"hooks"`

	// Engine says in words how packets are received, Offload how finished flows
	// are let through. Expression is the kernel's way to queue: native or compat.
	Engine     string `json:"engine"`
	Expression string `json:"expression"`
	Offload    string `json:"offload"`

	// Kernel is nil where every packet goes through a queue.
	Kernel *Kernel `json:"kernel,omitempty"`

	// ConfigPath is "" where the built-in defaults are in force.
	ConfigPath string `json:"config_path"`
	// Reload is the last reload, nil where there was none.
	Reload *Reload `json:"reload,omitempty"`

	// Table is nil where it is gone or could not be read.
	Table  *Table  `json:"table,omitempty"`
	Queues []Queue `json:"queues"`
	// Flows are the flows in the table, by TCP state.
	Flows map[string]uint64 `json:"flows"`
	// Sessions are the sessions that have ended, by starttls.outcome.
	Sessions map[string]uint64 `json:"sessions"`
	Findings []FindingCount    `json:"findings"`
	// Breaker counts the changes of the servers' circuit breakers, by the state that
	// they came to.
	Breaker   map[string]uint64 `json:"breaker"`
	LostSight []LostSight       `json:"lost_sight"`
	Memory    Memory            `json:"memory"`
	Events    Events            `json:"events"`
	History   History           `json:"history"`
}

// Reload is the result of reading the configuration again.
type Reload struct {
	Time time.Time `json:"time"`
	// Error is "" where the new configuration is in force; otherwise the old one
	// is.
	Error string `json:"error,omitempty"`
}

// Table counts packets at the nftables table, before the queues. These counters are the
// kernel's: they go on where a daemon takes over the table that a killed one has left,
// and start at 0 where another program had deleted it.
type Table struct {
	Queued    uint64 `json:"queued"`    // sent to a queue
	Fragments uint64 `json:"fragments"` // first fragments that nobody had put together: dropped
	Untracked uint64 `json:"untracked"` // those of both that were exempt from connection tracking
}

// Kernel is what the kernel does by itself.
type Kernel struct {
	// Offloaded are the sessions that were handed over and are not over.
	Offloaded uint64 `json:"offloaded"`
	// Follower is nil where there is no program: nobody then counts packets.
	Follower *Follower `json:"follower,omitempty"`
}

// Follower counts packets of inspected ports at the interfaces that have the program.
type Follower struct {
	Interfaces int `json:"interfaces"`
	// Followed were let through and inspected in arrears; Silent let through without:
	// acknowledgements and SYNs; Passed belong to sessions that were handed over.
	Followed     uint64 `json:"followed"`
	Silent       uint64 `json:"silent"`
	Passed       uint64 `json:"passed"`
	PassedOctets uint64 `json:"passed_octets"`
	// Dropped are those that met another of their connection on another CPU for too long.
	Dropped uint64 `json:"dropped"`
	// CameUp went on to a queue, by reason.
	CameUp map[string]uint64 `json:"came_up"`
}

// Queue is one netfilter queue.
type Queue struct {
	Number uint16 `json:"number"`
	// Depth is the number of packets that wait in the kernel now.
	Depth uint64 `json:"depth"`
	// Dropped packets found the kernel's queue full. UserDropped packets did not
	// fit into the socket's buffer.
	Dropped     uint64 `json:"dropped"`
	UserDropped uint64 `json:"user_dropped"`
	// Stale verdicts came for packets that the kernel no longer had.
	Stale uint64 `json:"stale"`
	// Packets are the packets decided, by verdict.
	Packets map[string]uint64 `json:"packets"`
}

// FindingCount counts one finding with one action.
type FindingCount struct {
	Finding string `json:"finding"`
	Action  string `json:"action"`
	Count   uint64 `json:"count"`
}

// LostSight counts one cause of lost sight under the policy that met it.
type LostSight struct {
	Cause  string `json:"cause"`  // named in docs/architecture.md, Lost sight
	Policy string `json:"policy"` // pass, drop or kill
	Count  uint64 `json:"count"`
}

// Memory is what the flow tables hold and may hold, in octets.
type Memory struct {
	Used  uint64 `json:"used"`
	Limit uint64 `json:"limit"`
}

// Events is the state of the event log.
type Events struct {
	Dropped     uint64 `json:"dropped"`
	WriteErrors uint64 `json:"write_errors"`
}

// History is the state of the memory of servers.
type History struct {
	Entries int `json:"entries"`       // servers that are remembered
	Open    int `json:"breakers_open"` // those of them whose breaker is open or half open
	// Store is "ok", "memory only" where nothing will be there after a restart, or "not
	// written" where a write failed and is tried again. Reason says why.
	Store       string `json:"store"`
	Reason      string `json:"reason,omitempty"`
	WriteErrors uint64 `json:"write_errors"`
	// Skipped entries of the file could not be understood, and stay in it.
	Skipped int `json:"skipped"`
}

// ServerQuery says which servers a request is about. A port 0 means every port.
type ServerQuery struct {
	Servers []netip.AddrPort `json:"servers,omitempty"`
	All     bool             `json:"all,omitempty"`
}

// Matches says whether q is about a server.
func (q *ServerQuery) Matches(server netip.AddrPort) bool {
	return q.All || slices.ContainsFunc(q.Servers, func(s netip.AddrPort) bool {
		return s == server || s.Port() == 0 && s.Addr() == server.Addr()
	})
}
