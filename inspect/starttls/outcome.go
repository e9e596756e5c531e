package starttls

// Outcome is the value of the flow variable starttls.outcome.
type Outcome uint8

// The outcomes of contract.md.
const (
	OutcomeUnknown    Outcome = iota // sight was lost, or the flow ended too early to tell
	OutcomeUpgraded                  // ServerHello seen
	OutcomeRefused                   // asked, and the server said no
	OutcomeNotOffered                // no EHLO reply offered STARTTLS
	OutcomeNotAsked                  // offered, and the client did not ask
	OutcomeHidden                    // keepword took the offer away
	OutcomeCorrected                 // keepword turned a false acceptance into a refusal
	OutcomeBroken                    // asked, 220, and no handshake
	OutcomeKilled                    // keepword ended the connection
)

var outcomeNames = [...]string{"unknown", "upgraded", "refused", "not-offered", "not-asked", "hidden", "corrected", "broken", "killed"}

// String returns the outcome's name in events.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "invalid"
}

// Step is a milestone of a session, a flowbit of the events.
type Step uint8

// The flowbits of contract.md.
const (
	StepOffered Step = iota
	StepHidden
	StepAsked
	StepAnswered
	StepCorrected
	StepClientHello
	StepServerHello
	StepOffloaded

	Steps
)

var stepNames = [Steps]string{"starttls.offered", "starttls.hidden", "starttls.asked", "starttls.answered",
	"starttls.corrected", "tls.clienthello", "tls.serverhello", "tls.offloaded"}

// String returns the flowbit.
func (s Step) String() string {
	if s < Steps {
		return stepNames[s]
	}
	return "invalid"
}
