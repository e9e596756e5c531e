// Package config reads keepword's configuration: one YAML 1.2 document, read
// strictly. Whatever is not understood is an error that names the file, line and
// column; nothing is guessed and nothing is ignored.
//
// Every key has a default, and an empty file is a valid configuration.
package config

import (
	"net/netip"
	"time"

	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// Config is a whole configuration: the file's values, and the default for every
// key that it leaves out. It is not altered once it has been read.
type Config struct {
	Mode       verdict.Mode
	Ports      []uint16 // TCP ports that are inspected, never empty
	Hooks      []Hook   // never empty
	Interfaces []string // where the kernel program attaches; empty: all but lo
	Queues     Queues
	Mark       uint32 // the exempt bits of the packet mark, never 0
	Engine     Engine
	Offload    Offload
	When       When
	Limits     Limits
	// Actions holds only the findings whose action the file sets.
	Actions map[verdict.Finding]verdict.Action
	Servers []Server // the first match wins
	// TLSMinimum is the oldest TLS version that is no finding, as the TLS
	// records write it (0x0303 is TLS 1.2); 0 for none.
	TLSMinimum uint16
	History    History
	Events     Events
	Metrics    Metrics
	Control    Control
}

// Hook is a netfilter hook at which packets are taken.
type Hook string

// The hooks.
const (
	Forward Hook = "forward" // traffic that this host routes
	Input   Hook = "input"   // traffic to this host's own servers
	Output  Hook = "output"  // traffic of this host's own clients
)

// Engine is the code that receives packets from the kernel's queues.
type Engine string

// The engines.
const (
	EngineAuto     Engine = "auto"
	EngineFast     Engine = "fast"
	EnginePortable Engine = "portable"
)

// Offload is how flows that are in TLS leave for the kernel.
type Offload string

// The ways of offloading.
const (
	OffloadAuto     Offload = "auto"
	OffloadBPF      Offload = "bpf"
	OffloadConnmark Offload = "connmark"
	OffloadOff      Offload = "off"
)

// Queues are the netfilter queues First to First+Count-1.
type Queues struct {
	First uint16
	Count int // 0: one for each CPU
}

// When says what becomes of traffic that can't be inspected, for each cause of
// lost sight.
type When struct {
	DaemonDown Loss // Pass or Drop: the kernel decides, nobody is there to kill
	QueueFull  Loss // Pass or Drop, likewise
	MemoryFull Loss
	Midstream  Loss
}

// Loss is one policy for lost sight.
type Loss string

// The policies for lost sight.
const (
	Pass Loss = "pass" // open: let it through unread
	Drop Loss = "drop" // closed: discard the packet
	Kill Loss = "kill" // end the connection
)

// Limits bound what inspection keeps.
type Limits struct {
	Flows      int   // flows in the table
	Memory     int64 // octets for all flows
	FlowMemory int64 // octets for one flow
}

// Server is what holds for the mail servers that it matches, by the address and
// port that clients connect to.
type Server struct {
	Match    []netip.Prefix // empty: every address
	Ports    []uint16       // empty: every inspected port
	StartTLS policy.StartTLS
	Actions  map[verdict.Finding]verdict.Action
}

// History is the memory of what each server kept and broke.
type History struct {
	Path    string // "" switches it off
	Breaker Breaker
}

// Breaker says when the offer of a server that keeps refusing is hidden.
type Breaker struct {
	Failures int           // refusals in a row; 0: it never opens
	Retry    time.Duration // until the server is tried again
}

// Events is where EVE events go.
type Events struct {
	Path     string // "-" is stdout, "" switches them off
	Envelope bool   // sender and recipients stand in them
	// Addresses is how much of the clients' addresses stands in them.
	Addresses Addresses
}

// Addresses is how much of a client's address is told.
type Addresses string

// How much of it.
const (
	AddressesFull   Addresses = "full"
	AddressesPrefix Addresses = "prefix" // the network: package privacy
)

// Metrics is where Prometheus finds the metrics.
type Metrics struct {
	Listen string // host:port, "" switches them off
}

// Control is the socket of status, reload and kin.
type Control struct {
	Socket string // "" switches it off
}

// Default returns the configuration that an empty file gives. Each call returns
// its own copy.
func Default() *Config {
	return &Config{
		Mode:    verdict.Enforce,
		Ports:   []uint16{25, 587},
		Hooks:   []Hook{Forward},
		Queues:  Queues{First: 2500},
		Mark:    0x10000000,
		Engine:  EngineAuto,
		Offload: OffloadAuto,
		When:    When{DaemonDown: Pass, QueueFull: Pass, MemoryFull: Kill, Midstream: Pass},
		Limits:  Limits{Flows: 1_000_000, Memory: 512 << 20, FlowMemory: 1 << 20},
		Actions: map[verdict.Finding]verdict.Action{verdict.CommandInjection: verdict.Kill},
		History: History{
			Path:    "/var/lib/keepword/history.db",
			Breaker: Breaker{Failures: 2, Retry: 24 * time.Hour},
		},
		Events:  Events{Path: "/var/log/keepword/eve.json", Envelope: true, Addresses: AddressesFull},
		Metrics: Metrics{Listen: "127.0.0.1:9525"},
		Control: Control{Socket: "/run/keepword/control.sock"},
	}
}

// Policy returns the part of c that decides on findings.
func (c *Config) Policy() policy.Config {
	servers := make([]policy.Server, len(c.Servers))
	for i, s := range c.Servers {
		servers[i] = policy.Server{Match: s.Match, Ports: s.Ports, StartTLS: s.StartTLS, Actions: s.Actions}
	}
	return policy.Config{Mode: c.Mode, Actions: c.Actions, Servers: servers, MinTLS: c.TLSMinimum}
}
