package maildata

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// found is an event with its place: how many octets were consumed up to it.
type found struct {
	at     int
	kind   Kind
	ending string
	line   string // Smuggling: the line, without its end
}

func (f found) String() string {
	return fmt.Sprintf("%d: kind %d %s %q", f.at, f.kind, f.ending, f.line)
}

// The model looks, at each octet, at the whole text before it.

var (
	modelParams = `(SMTPUTF8|REQUIRETLS|[^ \t\v\f=]*=[^ \t\v\f]*)`
	modelQuoted = `\\.|"(\\.|[^"\\])*"`      // a quoted pair, a quoted string
	modelOpen   = `("(\\.|[^"\\])*\\?|\\)?$` // what is left open at the line's end
	modelBehind = `([ \t\v\f]+` + modelParams + `)*[ \t\v\f]*$`
	modelPath   = `[ \t\v\f]*(<(` + modelQuoted + `|[^>"\\])*(` + modelOpen + `|>` + modelBehind + `|>` + modelParams + modelBehind + `)|` +
		`(` + modelQuoted + `|[^ \t\v\f<"\\])(` + modelQuoted + `|[^ \t\v\f"\\])*(` + modelOpen + `|` + modelBehind + `)|("(\\.|[^"\\])*\\?|\\)$)`
	modelVerb  = regexp.MustCompile(`(?i)^[ \t\v\f]*(MAIL|RCPT|BDAT|AUTH|EHLO|HELO|RSET|DATA|QUIT|NOOP|HELP|ETRN|VRFY|EXPN)([ \t\v\f]|$)`)
	modelMail  = regexp.MustCompile(`(?i)^[ \t\v\f]*MAIL[ \t\v\f]+FROM[ \t\v\f]*:` + modelPath)
	modelBDAT  = regexp.MustCompile(`(?i)^[ \t\v\f]*BDAT[ \t\v\f]+[0-9][^ \t\v\f]*([ \t\v\f]+[^ \t\v\f]+)?[ \t\v\f]*$`)
	modelFirst = regexp.MustCompile(`(?i)^[ \t\v\f]*MAIL([ \t\v\f]|$)`)
	// modelLoose is RCPT behind a line with MAIL.
	modelLoose   = regexp.MustCompile(`(?i)^[ \t\v\f]*RCPT([ \t\v\f]*$|[ \t\v\f]+TO[ \t\v\f]*$|[ \t\v\f].*[<@]|[ \t\v\f]+TO[ \t\v\f]*:` + modelPath + `)`)
	modelAnyCase = regexp.MustCompile(`(?i)^(RCPT[ \t\v\f]+TO[ \t\v\f]*:` + modelPath + `|STARTTLS[ \t\v\f]*$)`)
	modelCommand = regexp.MustCompile(`^(` + strings.Join([]string{
		`(EHLO|HELO|VRFY|EXPN)[ \t\v\f]+[^ \t\v\f]+[ \t\v\f]*`,
		`AUTH[ \t\v\f]+[^ \t\v\fa-z]+([ \t\v\f]+[^ \t\v\f]+)?[ \t\v\f]*`,
		`(RSET|DATA|QUIT)[ \t\v\f]*`,
		`NOOP([ \t\v\f]+[^ \t\v\f]+)?[ \t\v\f]*`,
	}, "|") + `)$`)
)

// withoutNUL returns what a server reads that drops NULs.
func withoutNUL(b []byte) string { return strings.ReplaceAll(string(b), "\x00", "") }

// lineEndBefore reads a line end backwards from text[:i], NULs left out: at most one LF and
// any number of CRs before it.
func lineEndBefore(text []byte, i int) (crs int, lf bool, begin int) {
	begin = i
	for ; i > 0; i-- {
		switch c := text[i-1]; {
		case c == 0:
			continue
		case c == '\n' && !lf && crs == 0:
			lf = true
		case c == '\r':
			crs++
		default:
			return crs, lf, begin
		}
		begin = i - 1
	}
	return crs, lf, begin
}

// modelEnding returns the name of the lenient ending that text ends with, or "".
func modelEnding(text []byte) string {
	end := len(text)
	if end == 0 || text[end-1] == 0 {
		return ""
	}
	crs, lf, i := lineEndBefore(text, end)
	if crs > 2 || !lf && crs != 1 {
		return ""
	}
	name := "." + strings.Repeat("CR", crs)
	if lf {
		name += "LF"
	}
	for i > 0 && text[i-1] == 0 {
		i--
	}
	if i == 0 || text[i-1] != '.' {
		return ""
	}
	crs, lf, i = lineEndBefore(text, i-1)
	switch {
	case lf:
		name = strings.Repeat("CR", min(crs, 2)) + "LF" + name
	case crs > 0:
		name = "CR" + name
	default:
		return ""
	}
	if bytes.IndexByte(text[i:end], 0) >= 0 {
		name += " with NUL"
	}
	return name
}

// model returns the events of text, up to the end of mail data.
func model(text []byte) (events []found) {
	const data = "\r\n" // DATA's own line end
	all := append([]byte(data), text...)
	ending, behind := "", 0 // the latest one and the place behind it
	lineAt := 0             // behind the last CR or LF
	var long, endless, mailed, byLF bool
	for i := len(data); i < len(all); i++ {
		to := i + 1
		seen := found{at: to - len(data)}
		if bytes.HasSuffix(all[:to], []byte("\r\n.\r\n")) {
			seen.kind = EndOfData
			return append(events, seen)
		}
		if isLineEnd(all[i]) {
			if ending != "" && modelCounts(all, behind, lineAt) {
				from := lineAt
				if byLF {
					from = modelStart(all, lineAt, i)
				}
				line := withoutNUL(all[from:i])
				if modelReads(line, from == behind) || mailed && modelLoose.MatchString(line) {
					seen.kind, seen.ending, seen.line = Smuggling, ending, string(all[from:i])
				} else {
					mailed = mailed || modelFirst.MatchString(line)
				}
			}
			lineAt = to
		}
		begin := bytes.LastIndexByte(all[:i], '\n') + 1
		length := to - begin
		text := length
		if all[begin] == '.' {
			text--
		}
		switch {
		case seen.kind != None:
		case text > 1000 && !long:
			seen.kind, long = LongLine, true
		case length > 65536 && !endless && long:
			seen.kind, endless = EndlessLine, true
		}
		if seen.kind != None {
			events = append(events, seen)
		}
		if e := modelEnding(all[:to]); e != "" {
			ending, behind = e, to
			byLF = byLF || all[i] == '\n'
		}
	}
	return events
}

// modelReads says whether a line counts as a command, by itself, behind an ending; first:
// directly behind it.
func modelReads(line string, first bool) bool {
	return modelMail.MatchString(line) || modelBDAT.MatchString(line) ||
		first && (modelCommand.MatchString(line) || modelAnyCase.MatchString(line))
}

// modelStart returns where the line all[lineAt:to] is read from: from its beginning, or, as
// it is longer than some buffer, from the last M or R that nothing read before it goes on
// behind. That alone the model leaves to the code.
func modelStart(all []byte, lineAt, to int) int {
	r, from := reader{stage: stageVerb}, lineAt
	begin := max(bytes.LastIndexByte(all[:to], '\n')+1, len("\r\n"))
	for i := lineAt; i < to; i++ {
		if i-begin >= shortBuffer && r.again(all[i]) {
			from = i
		}
		if all[i] != 0 {
			r.next(all[i])
		}
	}
	return from
}

// modelCounts says whether the line at from is read, behind an ending.
func modelCounts(all []byte, ending, from int) bool {
	if from <= ending {
		return from == ending
	}
	// For which servers does the line begin here, and how many did each read before it?
	for _, end := range []string{"\r", "\n", "\r\n"} {
		lines := strings.Split(string(all[ending:from]), end)
		if lines[len(lines)-1] != "" {
			continue
		}
		errors := 0
		for _, line := range lines[:len(lines)-1] {
			if i := strings.IndexAny(line, "\r\n"); i >= 0 {
				line = line[:i]
			}
			if !modelVerb.MatchString(withoutNUL([]byte(line))) {
				errors++
			}
		}
		if errors < MaxLines {
			return true
		}
	}
	return false
}
