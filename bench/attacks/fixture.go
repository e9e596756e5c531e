package main

import (
	"keepword/inspect/verdict"
)

// step is a place in the dialogue: a command and the reply to it.
type step string

// The steps.
const (
	atGreeting step = "greeting"
	atEHLO     step = "EHLO"
	atHELO     step = "HELO"
	atRSET     step = "RSET"
	atSTARTTLS step = "STARTTLS"
	atHello    step = "ClientHello" // what stands before it
	atMAIL     step = "MAIL"
	atRCPT     step = "RCPT"
	atDATA     step = "DATA"
	atText     step = "text" // mail data, or the octets of a BDAT with their command
	atQUIT     step = "QUIT"
)

// Plans of clients: their steps, in order. STARTTLS is left out where it is not offered,
// and in TLS the client says EHLO again by itself.
var (
	toMail   = []step{atEHLO, atSTARTTLS, atMAIL, atRCPT, atDATA, atText, atQUIT}
	inClear  = []step{atEHLO, atMAIL, atRCPT, atDATA, atText, atQUIT}
	atOnce   = []step{atEHLO, atMAIL, atRCPT, atDATA, atQUIT} // the mail data with DATA
	inChunks = []step{atEHLO, atMAIL, atRCPT, atText, atQUIT}
	byHELO   = []step{atHELO, atMAIL, atQUIT}
	withRSET = []step{atEHLO, atRSET, atSTARTTLS, atMAIL, atQUIT}
	toQUIT   = []step{atEHLO, atQUIT}
)

// hostile is who attacks.
type hostile string

const (
	// clientSide is the client, or whoever writes into its stream.
	clientSide hostile = "client side"
	// author writes mail that an honest server behind keepword relays.
	author hostile = "author of relayed mail"
	// serverSide is the server itself.
	serverSide hostile = "server"
	// boxInPlace answers in the place of an honest server, which does not see the command.
	boxInPlace hostile = "box, in the server's place"
	// boxBesides lets the command through and answers before the server does.
	boxBesides hostile = "box, before the server"
	// boxBehind edits what an honest server says, or adds to it.
	boxBehind hostile = "box, on the server's reply"
)

// class is a kind of attack, with what it is about.
type class struct {
	name  string
	about string
	// harm says by what the attack has succeeded, "" where it failed.
	harm func(*outcome) string
	// holds says what must not be where keepword enforces, "" where all is well.
	holds func(*outcome) string
	// hurts says that harm must not be there either; else keepword may end what has begun.
	hurts bool
	// careless is the way in which a peer must be careless for the attack to succeed.
	careless ways
}

// fixture is one known attack.
type fixture struct {
	class   *class
	name    string
	group   string // under which the table sums it up with others; empty: its name
	about   string
	hostile hostile
	plan    []step
	// client is what the client says at a step in place of an honest client's words, and
	// server what the server's side says. The octets of cutAt, but for the first cold ones,
	// are cut into segments in all ways: those before hot into up to three, 0 for all.
	client, server map[step]string
	cutAt          step
	cold, hot      int
	// tamper edits the reply to a step; only for boxBehind.
	tamper func(at step, reply string) string
	// evil is the beginning of the line that must never be obeyed, where there is one.
	evil string
	// findings are such that one of them must be reported in every cell; of what is
	// reported, the first that has consequences must be one of them. Empty: none is due.
	findings []verdict.Finding
	// learned are findings that are due because a session before this one was honest.
	learned []verdict.Finding
	// require sets starttls: require for the server.
	require bool
	// lenient are the peers' carelessnesses beyond the class's.
	lenient ways
	// held says that keepword lets octets of it wait for the 220, so that the session takes
	// another course where it only observes.
	held bool
	// shortfall says why the attack succeeds although keepword enforces; empty: it fails.
	shortfall string
	// harmless says that no peer of the model is hurt even without keepword.
	harmless bool
}

// ways are how peers are careless.
type ways struct {
	// keepsBuffer: what came in clear text before TLS is read as if it came in it.
	keepsBuffer bool
	// eager: a client takes any 2xx for an acceptance.
	eager bool
	// takesCR: a CR alone ends a line.
	takesCR bool
	// dropsNUL: NULs are skipped.
	dropsNUL bool
	// ending is what a server takes for the end of mail data, besides CRLF.CRLF.
	ending string
}

// and joins two ways.
func (w ways) and(o ways) ways {
	w.keepsBuffer = w.keepsBuffer || o.keepsBuffer
	w.eager = w.eager || o.eager
	w.takesCR = w.takesCR || o.takesCR
	w.dropsNUL = w.dropsNUL || o.dropsNUL
	w.ending += o.ending
	return w
}
