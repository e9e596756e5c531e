// Package smtp follows one SMTP dialogue (RFC 5321 and the extensions that change
// its framing: RFC 2920, 3030, 3207, 4954) from the octets of both directions, and
// does no I/O.
//
// A Dialogue is pulled: Client and Server consume octets up to the next event and
// return it, so that the caller can act on each event while its octets are still at
// hand. Cutting the same octets differently gives the same events.
//
// A command takes effect on its reply. After a command whose reply decides how the
// client's next octets are to be read (DATA, AUTH, STARTTLS), Client consumes
// nothing more until Server has seen that reply.
package smtp

// Limits of a dialogue.
const (
	// MaxHead is how much of a line is kept when it comes in pieces: enough for a
	// command line (RFC 5321 §4.5.3.1.4: 512 octets) with the room that MAIL and RCPT
	// parameters ask for (RFC 3461, 6531). Of a longer line the rest is read and
	// not kept.
	MaxHead = 1024
	// MaxPending bounds the commands that wait for their reply.
	MaxPending = 4096
)
