package maildata

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// follow returns the events of text, given whole or in pieces: next says how long the
// next piece is.
func follow(text []byte, next func(left int) int) (events []found) {
	var s Scanner
	s.Init()
	at, kept := 0, []byte(nil) // the line that is followed, as far as it came earlier
	for len(text) > 0 {
		piece := text[:min(max(next(len(text)), 1), len(text))]
		text = text[len(piece):]
		for len(piece) > 0 {
			n, ev := s.Scan(piece)
			at += n
			line := piece[:n]
			if ev.Start >= 0 {
				line, kept = piece[ev.Start:n], nil
			}
			kept = append(kept, line...)
			piece = piece[n:]
			if ev.Kind == None && len(piece) > 0 {
				panic("octets are left over without an event")
			}
			f := found{at: at, kind: ev.Kind}
			if ev.Kind == Smuggling {
				f.ending, f.line = ev.Ending.String(), string(kept[:len(kept)-1])
			}
			if ev.Kind != None {
				events = append(events, f)
			}
			if ev.Kind == EndOfData {
				return events
			}
			if ev.Kind == Smuggling || !s.Following() {
				kept = nil
			}
		}
	}
	return events
}

func whole(left int) int { return left }
func single(int) int     { return 1 }

func sameEvents(t interface{ Fatalf(string, ...any) }, what string, text []byte, got, want []found) {
	if !slices.Equal(got, want) {
		t.Fatalf("%s of %.200q:\n%v\nwant\n%v", what, text, got, want)
	}
}

// catalogue are the endings by their names.
var catalogue = map[string]string{
	"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CRLF.LF": "\r\n.\n",
	"CR.CR": "\r.\r", "CR.LF": "\r.\n", "LF.CR": "\n.\r", "CR.CRLF": "\r.\r\n", "CRLF.CR": "\r\n.\r",
	"CRLF.CRCRLF": "\r\n.\r\r\n", "CRCRLF.CRCRLF": "\r\r\n.\r\r\n",
	"LF.LF with NUL": "\n\x00.\n", "CRLF.CRLF with NUL": "\r\n\x00.\r\n", "CRLF.CRLF with NUL ": "\r\n.\x00\r\n", "CRLF.CRLF with NUL  ": "\r\n.\r\x00\x00\n",
	"CRLF.CRLF with NUL   ": "\r\x00\n.\r\n", "CR.CR with NUL": "\r\x00\x00.\x00\r",
}

// commands read as such right behind an ending.
var commands = []string{"MAIL FROM:<a@b>", "mail from:<>", "RCPT TO:<c@d>", "EHLO x", "HELO x.example", "RSET", "DATA", "QUIT", "NOOP", "STARTTLS",
	"StartTLS ", "BDAT 10 LAST", "BDAT 7", "AUTH PLAIN AAA=", "AUTH LOGIN", "VRFY joe", "EXPN all", "RSET\t", " MAIL  from : a", "M\x00AIL FROM:x"}

func TestACommandBehindALenientEndingIsReportedBeforeItsLineIsComplete(t *testing.T) {
	for name, ending := range catalogue {
		for _, c := range commands {
			for _, lineEnd := range []string{"\n", "\r", "\r\n"} {
				text := []byte("Hi" + ending + c + lineEnd + "more\r\n.\r\n")
				at := 2 + len(ending) + len(c) + 1
				want := []found{{at, Smuggling, strings.TrimSpace(name), c}, {len(text), EndOfData, "", ""}}
				sameEvents(t, "events", text, follow(text, whole), want)
				sameEvents(t, "events octet by octet", text, follow(text, single), want)
				sameEvents(t, "the model's events", text, model(text), want)
			}
		}
	}
}

func TestWhatIsNoCommandBehindALenientEndingIsText(t *testing.T) {
	for _, line := range []string{"", "x", "RSETTLE", "RSET now", "DATA is here", "QUIT it", "NOOP x y", "STARTTLS x", "STARTTLSX", "STAR TLS", "START", "EHLO", "EHLO ", "HELO a b",
		"MAIL", "MAIL FROM", "MAIL FRO:", "MAIL FROMS:", "MAILFROM:", "MAIL F ROM:", "RCPT FROM:", "RCPT TO x:", " RCPT TO:<x>", " QUIT", "BDAT", "BDAT x", "BDAT 1 LAST x", "AUTH", "AUTH a b c", "Auth failed for a user",
		"HELP", "x MAIL FROM:<a>", "> MAIL FROM:<a>", "...", "VRFY", "VRFY a b", "EXPN"} {
		text := []byte("\n.\n" + line + "\nx\r\n.\r\n")
		want := []found{{len(text), EndOfData, "", ""}}
		sameEvents(t, "events", text, follow(text, whole), want)
		sameEvents(t, "the model's events", text, model(text), want)
	}
}

func TestOnlyMAILAndBDATCountFromTheSecondLineOnAndNoneBehindMaxLines(t *testing.T) {
	for _, c := range []struct {
		name, between string
		want          bool
	}{
		{"second line", "x\n", true},
		{"last line", strings.Repeat("x\n", MaxLines-1), true},
		{"line behind it", strings.Repeat("x\n", MaxLines), false},
		{"last line, CRLF", strings.Repeat("x\r\n", MaxLines-1), true},
		{"line behind it, CRLF", strings.Repeat("x\r\n", MaxLines), false},
		{"last line, CR", strings.Repeat("\r", MaxLines-1), true},
		{"line behind it, CR", strings.Repeat("\r", MaxLines), false},
		{"line ends that only some servers take use up no others'", strings.Repeat("x\r", 2*MaxLines) + "x\n", true},
		{"nor bare LFs those of a server that cuts at CRLF", strings.Repeat("x\n", 2*MaxLines) + "x\r\n", true},
		{"nor bare CRs", strings.Repeat("x\r", 2*MaxLines) + "x\r\n", true},
		{"nor another ending", strings.Repeat("x\r\n", MaxLines-1) + ".\n" + strings.Repeat("x\n", MaxLines+1) + "\r\n", true},
	} {
		for _, command := range []string{"MAIL FROM:<a@b>", "bdat 60 last", "RCPT TO:<a@b>", "QUIT"} {
			for _, first := range []string{"\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r"} {
				text := []byte(first + c.between + command + "\r\nx\r\n.\r\n")
				got := follow(text, whole)
				sameEvents(t, "events", text, got, model(text))
				if want := c.want && (command[0] == 'M' || command[0] == 'b'); (got[0].kind == Smuggling) != want {
					t.Errorf("%s, %s behind %q: %v", c.name, command, first, got)
				}
			}
		}
	}
}

func TestOrdinaryMailRaisesNothing(t *testing.T) {
	dialogue := "S: 250 ok\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n354 go\nSubject: x\n\ntext\n..\nQUIT\nRSET\n"
	for name, text := range map[string]string{
		"bare newlines":                   strings.Repeat("a line\n", 200),
		"bare CRs":                        strings.Repeat("a line\r", 100),
		"dots at line starts":             strings.Repeat("..\r\n..x\r\n...\r\n.x\r\n", 100),
		"roff with bare newlines":         strings.Repeat(".SH NAME\n.\n.PP\ntext.\n", 100),
		"a quoted dialogue":               strings.ReplaceAll(dialogue, "\n", "\r\n"),
		"a quoted dialogue, bare newline": dialogue,
		"a quoted dialogue far behind":    ".\n" + strings.Repeat("text\r\n", MaxLines) + strings.ReplaceAll(dialogue, "\n", "\r\n"),
		"sentences":                       strings.Repeat("It ends.\r\nSo. \n. \r.x\n", 50),
		"a line as long as may be":        strings.Repeat("x", 998) + "\r\n" + strings.Repeat("x", 998) + "\r\n",
		"with its dot stuffed":            "." + strings.Repeat(".", 998) + "\r\nx\r\n." + strings.Repeat(".", 998) + "\r\n",
		"NULs":                            "a\x00\r\n\x00b\x00.\x00\r\n",
		"base64":                          ordinary["base64"][:4000],
	} {
		end := []byte(text + "\r\n.\r\n")
		want := []found{{len(end), EndOfData, "", ""}}
		sameEvents(t, name, end, follow(end, whole), want)
		sameEvents(t, name+", octet by octet", end, follow(end, single), want)
		sameEvents(t, name+", the model", end, model(end), want)
	}
}

func TestALongLineIsReportedOnceAndSoIsAnEndlessOne(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		text string
		want []found
	}{
		{x(998) + "\r\n", nil},
		{x(999) + "\r\n", []found{{1001, LongLine, "", ""}}},
		{x(999) + "\n", nil},
		{x(1000) + "\n", []found{{1001, LongLine, "", ""}}},
		{"." + x(998) + "\r\n", nil},
		{"." + x(999) + "\r\n", []found{{1002, LongLine, "", ""}}},
		{"a\r\n" + x(1200) + "\r\n" + x(1200) + "\r\n", []found{{1004, LongLine, "", ""}}},
		{x(65534) + "\r\n", []found{{1001, LongLine, "", ""}}},
		{x(65535) + "\r\n", []found{{1001, LongLine, "", ""}, {65537, EndlessLine, "", ""}}},
		{x(300000) + "\n" + x(70000), []found{{1001, LongLine, "", ""}, {65537, EndlessLine, "", ""}}},
		{"\n.\rRSET" + x(1000) + "\r", []found{{1003, LongLine, "", ""}}},
	} {
		for _, next := range []func(int) int{whole, single, func(int) int { return 77 }} {
			sameEvents(t, fmt.Sprint("events of ", len(c.text), " octets"), []byte(c.text), follow([]byte(c.text), next), c.want)
		}
	}
}

func TestALineThatIsBothLongAndACommandIsReportedAsBoth(t *testing.T) {
	// The 1001st octet is the CR with which the line is complete.
	text := []byte("\n.\r" + strings.Repeat("x", 900) + "\r" + "MAIL FROM:<" + strings.Repeat("a", 86) + ">" + "\rmore\n")
	events := follow(text, whole)
	sameEvents(t, "events", text, events, model(text))
	if len(events) != 2 || events[0].kind != Smuggling || events[1].kind != LongLine || events[1].at != events[0].at+1 {
		t.Fatal(events)
	}
}

// TestEveryShortTextIsFollowedAsTheModelDoes takes every text over the octets that
// matter. That each piece between two places leads from the one state to the other makes
// all splits the same, by induction on the pieces.
func TestEveryShortTextIsFollowedAsTheModelDoes(t *testing.T) {
	const alphabet = "\r\n\x00.x"
	longest := 8
	if testing.Short() {
		longest = 6
	}
	var text [8]byte
	var states [len(text) + 1]Scanner
	states[0].Init()
	probe := []byte("QUIT\n") // tells the ending
	var grow func(length int)
	grow = func(length int) {
		probed := append(text[:length:length], probe...)
		sameEvents(t, "events", probed, follow(probed, whole), model(probed))
		if length == longest {
			return
		}
		for _, c := range []byte(alphabet) {
			text[length] = c
			states[length+1] = states[length]
			if _, ev := states[length+1].Scan(text[length : length+1]); ev.Kind == EndOfData {
				continue
			}
			for from := range length {
				s := states[from]
				if n, ev := s.Scan(text[from : length+1]); n != length+1-from || ev.Kind != None || s != states[length+1] {
					t.Fatalf("%q and then %q: %d octets, %+v and %+v, want %+v", text[:from], text[from:length+1], n, ev, s, states[length+1])
				}
			}
			grow(length + 1)
		}
	}
	grow(0)
}

// pieces of mail data, for texts that random octets would never be.
var pieces = []string{"\r", "\n", "\r\n", "\x00", ".", "\n.\n", "\n.\r\n", "\r\n.\r", "\r\n\x00.\r\n", "\r\n.\r\r\n", "x", "text\r\n", "..\r\n", " ",
	"MAIL FROM:", "<a@b>", "MAIL FROM:<", "\"", "\\", ">", "a b", " SIZE=1", " SMTPUTF8", "\nMAIL FROM:<a>\r\n", "RSET", "STARTTLS", "STAR", "TLS", "QUIT\n", "EHLO a", "BDAT 9", "AUTH x y", "a. b\r\n",
	strings.Repeat("x\n", 24), strings.Repeat("x\r\n", 24), strings.Repeat("l", 64), strings.Repeat("k", 990)}

func TestAnyCutGivesTheEventsOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 30).Draw(t, "pieces"), ""))
		want := model(text)
		sameEvents(t, "events", text, follow(text, whole), want)
		sameEvents(t, "events in pieces", text, follow(text, func(left int) int {
			return rapid.IntRange(1, min(left, 200)).Draw(t, "size")
		}), want)
	})
}

func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		if len(text) > 3000 {
			t.Skip("the model takes the square of the length")
		}
		want := model(text)
		sameEvents(t, "events", text, follow(text, whole), want)
		sameEvents(t, "events octet by octet", text, follow(text, single), want)
		sameEvents(t, "events in pieces", text, follow(text, func(int) int { return int(cut) + 1 }), want)
		withoutWide(func() { sameEvents(t, "portable events", text, follow(text, whole), want) })
	})
}

func TestScanningAllocatesNothing(t *testing.T) {
	text := []byte(ordinary["text"][:64<<10] + "\n.\nMAIL FROM:<a>\r\n" + strings.Repeat("x", 70000))
	var s Scanner
	if n := testing.AllocsPerRun(10, func() {
		s.Init()
		for b := text; len(b) > 0; {
			n, _ := s.Scan(b)
			b = b[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheScannerIsSmall(t *testing.T) {
	if n := reflect.TypeFor[Scanner]().Size(); n > 32 {
		t.Errorf("%d octets", n)
	}
}

func TestEveryEndingHasItsName(t *testing.T) {
	seen := map[string]Ending{}
	for e := range Ending(255) {
		name := e.String()
		if other, twice := seen[name]; twice && name != "invalid" {
			t.Errorf("%d and %d are both %s", e, other, name)
		}
		seen[name] = e
	}
	for name := range catalogue {
		if _, ok := seen[strings.TrimSpace(name)]; !ok {
			t.Errorf("no ending is called %s", name)
		}
	}
	if len(seen) != 2+2*4*4 {
		t.Errorf("%d names", len(seen))
	}
}

// ordinary are mail data as most are, 256 KiB of each kind, CRLF at each line's end.
var ordinary = func() map[string]string {
	const size = 256 << 10
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	words := strings.Fields("the mail was sent on Monday, and nobody has answered it. Please look at it (again) before you leave; thank you. Yours, e.g. 3.5 of them: https://example.com/a.b?c=d are")
	random := uint32(1)
	next := func(n int) int { // a small generator, so that the text is always the same
		random = random*1664525 + 1013904223
		return int(random>>16) % n
	}
	var base64, text bytes.Buffer
	for base64.Len() < size {
		for range 76 {
			base64.WriteByte(alphabet[next(len(alphabet))])
		}
		base64.WriteString("\r\n")
	}
	for text.Len() < size {
		for line := 0; line < 60; {
			n, _ := text.WriteString(words[next(len(words))] + " ")
			line += n
		}
		text.WriteString("\r\n")
		if next(8) == 0 {
			text.WriteString("\r\n")
		}
	}
	return map[string]string{"base64": base64.String(), "text": text.String(), "text with bare LF": strings.ReplaceAll(text.String(), "\r", "")}
}()
