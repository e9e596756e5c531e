package verdict

// Finding is one row of the catalogue of findings: a way in which the promise is
// broken. Its String is the stable id used in events, metrics, configuration and
// documentation; its number is internal and may change.
type Finding uint8

// The findings, in the catalogue's order.
const (
	// NoFinding is the absence of one.
	NoFinding Finding = iota

	OfferRefused
	OfferRefusedTemporarily
	TLSRateLimited
	AnsweredForServer
	UnfitAnswer
	SurplusReply
	PlaintextFromClientAfter220
	PlaintextFromServerAfter220
	SilenceAfter220
	HandshakeFailed
	PlaintextAfterTLS
	DowngradedAfterFailure
	OfferVanished
	EHLORefused
	OfferMasked
	GreetingMasked
	OfferInconsistent
	STARTTLSNotOffered
	STARTTLSWithParameter
	STARTTLSMalformed
	STARTTLSInTransaction
	TLSRequired
	TLSTooOld
	ImplicitTLS
	XAnonymoustls
	CommandInjection
	EarlyClientHello
	ResponseInjection
	AuthBeforeTLS
	AuthInClear
	Smuggling
	SmugglingConfirmed
	BareNewline
	NULOctet
	LineTooLong
	BDATMalformed
	ReplyMalformed
	UnauthorisedPipelining
	RoleSwap
	OverlapConflict
	DataOnSYN
	UrgentData
	BadChecksum
	BadHeader
	OutOfWindow
	ResetUnsure
	Gap
	Midstream
	TooManyHoles
	MemoryLimit

	// Findings is the number of values, for arrays indexed by Finding.
	Findings
)

var findingIDs = [Findings]string{
	NoFinding:                   "",
	OfferRefused:                "offer-refused",
	OfferRefusedTemporarily:     "offer-refused-temporarily",
	TLSRateLimited:              "tls-rate-limited",
	AnsweredForServer:           "answered-for-server",
	UnfitAnswer:                 "unfit-answer",
	SurplusReply:                "surplus-reply",
	PlaintextFromClientAfter220: "plaintext-from-client-after-220",
	PlaintextFromServerAfter220: "plaintext-from-server-after-220",
	SilenceAfter220:             "silence-after-220",
	HandshakeFailed:             "handshake-failed",
	PlaintextAfterTLS:           "plaintext-after-tls",
	DowngradedAfterFailure:      "downgraded-after-failure",
	OfferVanished:               "offer-vanished",
	EHLORefused:                 "ehlo-refused",
	OfferMasked:                 "offer-masked",
	GreetingMasked:              "greeting-masked",
	OfferInconsistent:           "offer-inconsistent",
	STARTTLSNotOffered:          "starttls-not-offered",
	STARTTLSWithParameter:       "starttls-with-parameter",
	STARTTLSMalformed:           "starttls-malformed",
	STARTTLSInTransaction:       "starttls-in-transaction",
	TLSRequired:                 "tls-required",
	TLSTooOld:                   "tls-too-old",
	ImplicitTLS:                 "implicit-tls",
	XAnonymoustls:               "x-anonymoustls",
	CommandInjection:            "command-injection",
	EarlyClientHello:            "early-client-hello",
	ResponseInjection:           "response-injection",
	AuthBeforeTLS:               "auth-before-tls",
	AuthInClear:                 "auth-in-clear",
	Smuggling:                   "smuggling",
	SmugglingConfirmed:          "smuggling-confirmed",
	BareNewline:                 "bare-newline",
	NULOctet:                    "nul-octet",
	LineTooLong:                 "line-too-long",
	BDATMalformed:               "bdat-malformed",
	ReplyMalformed:              "reply-malformed",
	UnauthorisedPipelining:      "unauthorised-pipelining",
	RoleSwap:                    "role-swap",
	OverlapConflict:             "overlap-conflict",
	DataOnSYN:                   "data-on-syn",
	UrgentData:                  "urgent-data",
	BadChecksum:                 "bad-checksum",
	BadHeader:                   "bad-header",
	OutOfWindow:                 "out-of-window",
	ResetUnsure:                 "reset-unsure",
	Gap:                         "gap",
	Midstream:                   "midstream",
	TooManyHoles:                "too-many-holes",
	MemoryLimit:                 "memory-limit",
}

// String returns the finding's stable id.
func (f Finding) String() string {
	if f < Findings {
		return findingIDs[f]
	}
	return "invalid"
}

// ParseFinding returns the finding with that id, and false where there is none.
func ParseFinding(id string) (Finding, bool) {
	for f := NoFinding + 1; f < Findings; f++ {
		if findingIDs[f] == id {
			return f, true
		}
	}
	return NoFinding, false
}
