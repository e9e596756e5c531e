package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"keepword/inspect"
	"keepword/inspect/starttls"
	v "keepword/inspect/verdict"
)

// versionNames are as people write them.
var versionNames = map[uint16]string{0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

func versionName(version uint16) string {
	if n, ok := versionNames[version]; ok {
		return n
	}
	return "TLS"
}

// ledger is how far the promise came, in words.
func ledger(f *inspect.FlowRecord) string {
	has := func(s starttls.Step) bool { return slices.Contains(f.Steps, s) }
	if f.Outcome == starttls.OutcomeUnknown && len(f.Steps) == 0 {
		return "not known: sight was lost, or the session ended too early to tell"
	}
	var parts []string
	add := func(happened bool, yes, no string) {
		if happened {
			parts = append(parts, yes)
		} else {
			parts = append(parts, no)
		}
	}
	offered := "offered"
	if has(starttls.StepHidden) {
		offered = "offered, but hidden from the client"
	}
	add(has(starttls.StepOffered) || has(starttls.StepHidden), offered, "not offered")
	add(has(starttls.StepAsked), "asked", "not asked")
	if has(starttls.StepAsked) {
		answer := fmt.Sprintf("answered %03d", f.ReplyCode)
		if f.ReplyCode == 0 {
			answer = "answered by no reply"
		}
		if has(starttls.StepCorrected) {
			answer += ", corrected to a refusal"
		}
		add(has(starttls.StepAnswered) || f.ReplyCode != 0, answer, "not answered")
	}
	client, server := has(starttls.StepClientHello), has(starttls.StepServerHello)
	switch {
	case server:
		parts = append(parts, versionName(f.TLSVersion)+" begun")
	case client:
		parts = append(parts, "TLS begun by the client alone")
	default:
		parts = append(parts, "TLS not begun")
	}
	return strings.Join(parts, "; ")
}

// result is what there is to say of a session without findings.
type result struct {
	kept       bool
	what, next string
}

// outcomes are what their sessions came to.
var outcomes = map[starttls.Outcome]result{
	starttls.OutcomeUnknown: {false, "Sight of the session was lost, or it ended too early to tell; nothing was found in what was seen.",
		"keepword status says whether and why sight is lost."},
	starttls.OutcomeUpgraded: {true, "Nothing was broken: STARTTLS was offered, asked for and answered 220, and the session went on inside TLS.",
		"Nothing to do."},
	starttls.OutcomeRefused: {false, "The client asked for STARTTLS and the server said no, which is an honest answer; the client may have gone on in clear text.",
		"Read in the server's log why it refused."},
	starttls.OutcomeNotOffered: {true, "Nothing was broken: no EHLO reply offered STARTTLS, so that there was nothing to ask for, and what followed was in clear text.",
		"Try openssl s_client -starttls smtp from beside the server: if it offers there, a box between takes the offer away."},
	starttls.OutcomeNotAsked: {true, "Nothing was broken: the server offered STARTTLS and the client did not ask for it.",
		"If the client is yours, have it use TLS (Postfix: smtp_tls_security_level = may)."},
	starttls.OutcomeHidden: {false, "keepword took the offer away, and the client went on without TLS: the server is set to starttls: hide, or its circuit breaker is open.",
		"keepword history says what the server broke; the configuration whether it is set to hide."},
	starttls.OutcomeCorrected: {false, "keepword turned a false acceptance of STARTTLS into a refusal; its finding is not known any more.",
		"Look for the alert of this flow_id in the event log."},
	starttls.OutcomeBroken: {false, "STARTTLS was answered 220 and no handshake followed; no finding is known, as one end may just have gone away.",
		"If it happens again, look in the client's log for the reason."},
	starttls.OutcomeKilled: {false, "keepword ended the connection; its finding is not known any more.",
		"Look for the alert of this flow_id in the event log."},
}

func outcomeOf(f *inspect.FlowRecord) result {
	if f.Outcome == starttls.OutcomeUpgraded && !slices.Contains(f.Steps, starttls.StepAsked) {
		return result{true, "Nothing was broken: TLS began with the first octet, without STARTTLS.", "Nothing to do."}
	}
	return outcomes[f.Outcome]
}

// deed is an action as it was done, and as it would have been.
type deed struct{ did, would string }

var deeds = map[v.Action]deed{
	v.Log:     {"reported it and altered nothing.", ""},
	v.Hide:    {"hid the offer from the client.", "hidden the offer from the client."},
	v.Correct: {"put right in place what was false.", "put right in place what was false."},
	v.Refuse:  {"refused the command; the server never saw it.", "refused the command; the server would not have seen it."},
	v.Delay:   {"held it back until the other side had spoken.", "held it back until the other side had spoken."},
	v.Kill: {"ended the connection on both sides; a client that waits for a reply is told 421 first.",
		"ended the connection on both sides, with a 421 where a client waits."},
}

// correctedAnswer is the deed of findings whose correction is one of the answer to STARTTLS.
var correctedAnswer = deed{"made the answer a 454, so that the client knows that TLS has not begun.",
	"made the answer a 454, so that the client knows that TLS has not begun."}

// done says what keepword did about a finding, "" where that is not known.
func done(f *inspect.FindingRecord) string {
	d := deeds[f.Action]
	if f.Action == v.Correct && (f.Finding == v.AnsweredForServer || f.Finding == v.UnfitAnswer) {
		d = correctedAnswer
	}
	switch {
	case d.did == "":
		return ""
	case f.Mode == v.Observe && d.would != "":
		return "keepword only watched (mode observe); in mode enforce it would have " + d.would
	}
	return "keepword " + d.did
}

// quotesContent says that a finding's sentence may quote what an end said, and not a word of
// a protocol, as the name of an alert, or nothing.
func quotesContent(f v.Finding) bool {
	switch f {
	case v.HandshakeFailed, v.TLSTooOld, v.TLSRequired, v.AuthInClear, v.OfferMasked, v.RoleSwap, v.UnauthorisedPipelining,
		v.AnsweredForServer, v.SilenceAfter220, v.OfferVanished, v.EHLORefused:
		return false
	}
	return true
}

// withhold takes a quotation out of a sentence. A sentence in which it is not found word for
// word, as its octets may have changed on their way through an event, ends where it begins.
func withhold(sentence, quoted string) string {
	const opens = ": "
	form := strconv.QuoteToASCII(quoted)
	if form[1:len(form)-1] == quoted {
		form = quoted // as it is, where it is fit to be read
	}
	before, after, whole := strings.Cut(sentence, opens+form)
	if !whole {
		before, _, _ = strings.Cut(sentence, opens)
	}
	return before + after
}

// sentence ends s with a full stop, unless it is empty.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
