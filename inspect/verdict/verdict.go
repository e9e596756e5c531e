// Package verdict is the closed vocabulary in which inspection answers: what
// becomes of a packet (netfilter's verdicts), which finding was made (the ids of
// the catalogue), and what was done about it.
//
// It imports nothing, so that every layer may speak it.
package verdict

// Kind is what becomes of one packet.
type Kind uint8

const (
	// None means that the packet has not been decided. No packet may leave
	// inspection with it.
	None Kind = iota
	// Accept lets the packet through as the kernel holds it (NF_ACCEPT).
	Accept
	// Replace lets the packet through with its octets replaced by Packet.Data:
	// edited in place, or cut short at its end. All checksums are already right.
	Replace
	// Drop discards the packet (NF_DROP).
	Drop
	// Hold leaves the packet waiting in the kernel. Its verdict follows in a later
	// batch, as a Release with the same packet id.
	Hold

	kinds
)

var kindNames = [kinds]string{"none", "accept", "replace", "drop", "hold"}

// String returns the name that metrics use.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "invalid"
}

// Action is what policy asks for when a finding is made. The names are those of
// the configuration and of the events.
type Action uint8

const (
	// Pass says nothing.
	Pass Action = iota
	// Log reports the finding and alters nothing.
	Log
	// Hide takes the offer of STARTTLS out of the EHLO reply.
	Hide
	// Correct overwrites what is false in place, in the same length: a false
	// acceptance becomes a refusal, a contradicting octet the one seen first.
	Correct
	// Refuse tells the client no; the server never sees the command.
	Refuse
	// Delay waits, bounded, for the other side; its name outside is "hold".
	Delay
	// Kill tells the client 421 where a reply is due, then resets both sides.
	Kill

	actions
)

var actionNames = [actions]string{"pass", "log", "hide", "correct", "refuse", "hold", "kill"}

// String returns the action's name in configuration and events.
func (a Action) String() string {
	if a < actions {
		return actionNames[a]
	}
	return "invalid"
}

// ParseAction returns the action of that name, and false where there is none.
func ParseAction(name string) (Action, bool) {
	for i, n := range actionNames {
		if n == name {
			return Action(i), true
		}
	}
	return 0, false
}

// Mode says whether findings have consequences.
type Mode uint8

const (
	// Enforce carries actions out.
	Enforce Mode = iota
	// Observe alters nothing, and reports what would have been done.
	Observe
)

// String returns the mode's name in configuration and events.
func (m Mode) String() string {
	if m == Observe {
		return "observe"
	}
	return "enforce"
}
