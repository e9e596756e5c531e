// Package load makes mail traffic to measure a gateway by: SMTP sessions as real programs
// hold them (RFC 5321, STARTTLS by RFC 3207), by a client and a server that do as little
// else as they can, because on a small machine they take their time from the gateway.
//
// Little else is not nothing. Each side waits for the other's line, reads it and checks it;
// the server searches the mail data for its end, and says how many octets there were, and
// the client compares. A session in which anything was not as expected has failed.
package load

import (
	"fmt"
	"slices"
)

// Workload is one kind of traffic.
type Workload struct {
	// Name is the word by which it is chosen.
	Name string
	// Connections is how many sessions are under way at a time.
	Connections int
	// Octets is the length of a message as it is sent, the dots doubled, without the line
	// that ends it.
	Octets int
	// TLS says that the sessions turn to TLS by STARTTLS before their message.
	TLS bool
	// Turns is how many times a session says MAIL, RCPT, NOOP and RSET; such a session has
	// no message.
	Turns int
}

// Workloads are the kinds of traffic there are.
var Workloads = []Workload{
	{Name: "plain", Connections: 16, Octets: smallMessage},
	{Name: "starttls", Connections: 16, Octets: smallMessage, TLS: true},
	{Name: "bulk", Connections: 2, Octets: largeMessage},
	{Name: "bulk-tls", Connections: 2, Octets: largeMessage, TLS: true},
	// One connection, so that a command finds nobody before it in a queue.
	{Name: Commands, Connections: 1, Turns: 100},
}

// Commands is the workload that has no mail: one session at a time says short commands, each
// when the last has been answered. Its figure is the time that a command waits for its reply.
const Commands = "commands"

// Lengths of messages: 1 KiB, and the 20 MB that are a whole number of lines.
const (
	smallMessage = 1 << 10
	largeMessage = 20_000_000 / lineOctets * lineOctets
)

// Bulk says that octets a second tell more of w than sessions do.
func (w Workload) Bulk() bool { return w.Octets >= largeMessage }

// Find returns the workload of that name.
func Find(name string) (Workload, error) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, fmt.Errorf("no workload is named %q", name)
	}
	return Workloads[i], nil
}
