package eve

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"keepword/inspect"
	protocol "keepword/inspect/smtp"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// The flow variable smtp.dialogue is what was said in a session, in order, as words with
// blanks between them (docs/configuration.md has the grammar for readers):
//
//	2026-01-02T03:04:05.678Z 220 +12 EHLO +14 250 +15 STARTTLS 250 !answered-for-server=correct
//
// The first word is the time of the first thing said, and +N the milliseconds from there to
// whatever follows, up to the next of its kind.
const (
	dialogueTime = secondLayout + ".000Z"

	wordAuthResponse = "auth-response"
	wordClientHello  = "ClientHello"
	wordServerHello  = "ServerHello=" // and the version, four hexadecimal digits
	wordClientAlert  = "alert=client" // sent by the client
	wordServerAlert  = "alert=server"
	wordProtected    = "protected"
	findingMark      = "!" // and the finding, "=" and the action
)

// Dialogue returns said as the flow variable smtp.dialogue, "" for nothing said. It has
// milliseconds, and not what was said in words: no address and no content.
func Dialogue(said []inspect.Said) string {
	if len(said) == 0 {
		return ""
	}
	return string(appendDialogue(nil, said, &stamps{zone: time.UTC}))
}

// appendDialogue appends said, of which there is something. It needs no escapes in JSON.
func appendDialogue(b []byte, said []inspect.Said, utc *stamps) []byte {
	start := said[0].Time / int64(time.Millisecond)
	b = utc.appendMillis(b, start)
	at := int64(0)
	for i := range said {
		if ms := said[i].Time/int64(time.Millisecond) - start; ms > at {
			at = ms
			b = append(b, " +"...)
			b = strconv.AppendInt(b, ms, 10)
		}
		b = append(b, ' ')
		b = appendWord(b, &said[i])
	}
	return b
}

func appendWord(b []byte, s *inspect.Said) []byte {
	switch s.Kind {
	case inspect.SaidCommand:
		return append(b, verbWord(s.Verb)...)
	case inspect.SaidReply:
		return appendCode(b, s.Code)
	case inspect.SaidAuthResponse:
		return append(b, wordAuthResponse...)
	case inspect.SaidClientHello:
		return append(b, wordClientHello...)
	case inspect.SaidServerHello:
		b = append(b, wordServerHello...)
		return hex.AppendEncode(b, []byte{byte(s.Version >> 8), byte(s.Version)})
	case inspect.SaidAlert:
		if s.ToServer {
			return append(b, wordClientAlert...)
		}
		return append(b, wordServerAlert...)
	case inspect.SaidProtected:
		return append(b, wordProtected...)
	default:
		b = append(b, findingMark...)
		b = append(b, s.Finding.String()...)
		b = append(b, '=')
		return append(b, s.Action.String()...)
	}
}

// noVerb is the name of what is no verb.
const noVerb = "invalid"

// verbWords are the verbs as one word each, and verbs the verbs by their words.
var verbWords, verbs = func() (words []string, all map[string]protocol.Verb) {
	all = make(map[string]protocol.Verb)
	for v := protocol.VerbUnknown; v.String() != noVerb; v++ {
		w := strings.ReplaceAll(v.String(), " ", "-")
		words = append(words, w)
		all[w] = v
	}
	return words, all
}()

// verbWord is the verb as one word.
func verbWord(v protocol.Verb) string {
	if int(v) < len(verbWords) {
		return verbWords[v]
	}
	return noVerb
}

// ParseDialogue is the inverse of Dialogue, to the millisecond.
func ParseDialogue(text string) ([]inspect.Said, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, nil
	}
	start, err := time.Parse(dialogueTime, words[0])
	if err != nil {
		return nil, fmt.Errorf("smtp.dialogue begins with no time: %w", err)
	}
	var said []inspect.Said
	now := start
	for _, w := range words[1:] {
		if ms, ok := strings.CutPrefix(w, "+"); ok {
			n, err := strconv.ParseUint(ms, 10, 40) // of 40 bits: a time.Duration has them, 34 years
			if err != nil {
				return nil, fmt.Errorf("smtp.dialogue: %q is no time", w)
			}
			now = start.Add(time.Duration(n) * time.Millisecond)
			continue
		}
		s, ok := parseWord(w)
		if !ok {
			return nil, fmt.Errorf("smtp.dialogue: this version does not know the word %q", w)
		}
		s.Time = now.UnixNano()
		said = append(said, s)
	}
	return said, nil
}

func parseWord(w string) (s inspect.Said, ok bool) {
	switch w {
	case wordAuthResponse:
		return inspect.Said{Kind: inspect.SaidAuthResponse, ToServer: true}, true
	case wordClientHello:
		return inspect.Said{Kind: inspect.SaidClientHello, ToServer: true}, true
	case wordClientAlert, wordServerAlert:
		return inspect.Said{Kind: inspect.SaidAlert, ToServer: w == wordClientAlert}, true
	case wordProtected:
		return inspect.Said{Kind: inspect.SaidProtected}, true
	}
	if v, ok := verbs[w]; ok {
		return inspect.Said{Kind: inspect.SaidCommand, ToServer: true, Verb: v}, true
	}
	if version, ok := strings.CutPrefix(w, wordServerHello); ok {
		n, err := strconv.ParseUint(version, 16, 16)
		return inspect.Said{Kind: inspect.SaidServerHello, Version: uint16(n)}, err == nil
	}
	if f, ok := strings.CutPrefix(w, findingMark); ok {
		id, name, _ := strings.Cut(f, "=")
		finding, known := verdict.ParseFinding(id)
		action, named := verdict.ParseAction(name)
		return inspect.Said{Kind: inspect.SaidFinding, Finding: finding, Action: action}, known && named
	}
	code, err := strconv.ParseUint(w, 10, 16)
	return inspect.Said{Kind: inspect.SaidReply, Code: int(code)}, err == nil
}

// parseStep returns the step of that flowbit, and false where there is none.
func parseStep(flowbit string) (starttls.Step, bool) {
	for s := starttls.Step(0); s < starttls.Steps; s++ {
		if s.String() == flowbit {
			return s, true
		}
	}
	return 0, false
}

// parseOutcome returns the outcome of that name, and false where there is none.
func parseOutcome(name string) (starttls.Outcome, bool) {
	for o := starttls.OutcomeUnknown; o <= starttls.OutcomeKilled; o++ {
		if o.String() == name {
			return o, true
		}
	}
	return 0, false
}
