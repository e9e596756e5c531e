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
	modelMail    = regexp.MustCompile(`(?i)^[ \t]*MAIL[ \t]+FROM[ \t]*:`)
	modelCommand = regexp.MustCompile(`(?i)^(` + strings.Join([]string{
		`MAIL[ \t]+FROM[ \t]*:.*`,
		`RCPT[ \t]+TO[ \t]*:.*`,
		`(EHLO|HELO|VRFY|EXPN)[ \t]+[^ \t]+[ \t]*`,
		`AUTH[ \t]+[^ \t]+([ \t]+[^ \t]+)?[ \t]*`,
		`BDAT[ \t]+[0-9][^ \t]*([ \t]+[^ \t]+)?[ \t]*`,
		`(RSET|DATA|QUIT|NOOP|STARTTLS)[ \t]*`,
	}, "|") + `)$`)
)

// withoutNUL returns what a server reads that drops NULs.
func withoutNUL(b []byte) string { return strings.ReplaceAll(string(b), "\x00", "") }

// modelEnding returns the name of the lenient ending that text ends with, or "".
func modelEnding(text []byte) string {
	end := len(text)
	if end == 0 || !isLineEnd(text[end-1]) {
		return ""
	}
	i, nul := end, false
	skipNUL := func() {
		for i > 0 && text[i-1] == 0 {
			i--
			nul = true
		}
	}
	// behind the dot, backwards
	behind := ""
	for i > 0 && isLineEnd(text[i-1]) {
		behind = map[byte]string{'\r': "CR", '\n': "LF"}[text[i-1]] + behind
		i--
		skipNUL()
	}
	switch behind {
	case "CR", "LF", "CRLF", "CRCRLF":
	default:
		return ""
	}
	if i == 0 || text[i-1] != '.' {
		return ""
	}
	i--
	skipNUL()
	// before it: any number of CRs and at most one LF
	before := ""
	if i > 0 && text[i-1] == '\n' {
		i--
		before = "LF"
	}
	for {
		j := i
		for j > 0 && text[j-1] == 0 {
			j--
		}
		if j == 0 || text[j-1] != '\r' {
			break
		}
		nul = nul || j < i
		i = j - 1
		before = "CR" + before
	}
	for strings.HasPrefix(before, "CRCRCR") || before == "CRCR" {
		before = before[2:]
	}
	if before == "" {
		return ""
	}
	if nul {
		return before + "." + behind + " with NUL"
	}
	return before + "." + behind
}

// model returns the events of text, up to the end of mail data.
func model(text []byte) (events []found) {
	const data = "\r\n" // DATA's own line end
	all := append([]byte(data), text...)
	ending, behind := "", 0 // the latest one and the place behind it
	lineAt := 0             // behind the last CR or LF
	var long, endless bool
	for i := len(data); i < len(all); i++ {
		to := i + 1
		seen := found{at: to - len(data)}
		if bytes.HasSuffix(all[:to], []byte("\r\n.\r\n")) {
			seen.kind = EndOfData
			return append(events, seen)
		}
		if isLineEnd(all[i]) {
			if ending != "" && modelReads(all, behind, lineAt, i) {
				seen.kind, seen.ending, seen.line = Smuggling, ending, string(all[lineAt:i])
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
		}
	}
	return events
}

// modelReads says whether the line all[from:to] counts as a command behind an ending.
func modelReads(all []byte, ending, from, to int) bool {
	line := withoutNUL(all[from:to])
	if from == ending {
		return modelCommand.MatchString(line) || modelMail.MatchString(line)
	}
	if from < ending || !modelMail.MatchString(line) {
		return false
	}
	// For which servers does the line begin here, and how many did each read before it?
	lines := all[ending:from]
	crlf := bytes.Count(lines, []byte("\r\n"))
	return bytes.HasSuffix(lines, []byte("\r")) && bytes.Count(lines, []byte("\r")) < 25 ||
		bytes.HasSuffix(lines, []byte("\n")) && bytes.Count(lines, []byte("\n")) < 25 ||
		bytes.HasSuffix(lines, []byte("\r\n")) && crlf < 25
}
