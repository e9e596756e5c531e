package smtp

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEachStateMovesOnlyWhereItsInputSaysSo(t *testing.T) {
	for _, c := range []struct {
		state, input string
		want         Mode
		transaction  bool
	}{
		{"Greeting", "S220 hi\r\n", Commands, false},
		{"Greeting", "S554 no\r\n", Commands, false},
		{"Greeting", "CEHLO a\r\n", Commands, false},
		{"Commands", "CDATA\r\n", Waiting, false},
		{"Commands", "CAUTH PLAIN AAA=\r\n", Waiting, false},
		{"Commands", "CTURN\r\n", Waiting, false},
		{"Commands", "CATRN a.example\r\n", Waiting, false},
		{"Commands", "CETRN a.example\r\n", Commands, false},
		{"Commands", "CSTARTTLS\r\n", Asked, false},
		{"Commands", "CX-ANONYMOUSTLS\r\n", Asked, false},
		{"Commands", "CBDAT 3\r\n", Chunk, false},
		{"Commands", "CBDAT 0 LAST\r\n", Commands, false},
		{"Commands", "CBDAT x\r\n", Commands, false},
		{"Commands", "CBDAT 3\r\nabc", Commands, false},
		{"Commands", "CBDAT 3\r\nab", Chunk, false},
		{"Commands", "CQUIT\r\n", Commands, false},
		{"MailData", "Ctext\r\n", MailData, false},
		{"MailData", "CSTARTTLS\r\nQUIT\r\n", MailData, false},
		{"MailData", "C.\r\n", Commands, false},
		{"MailData", "C.\n", MailData, false},
		{"MailData", "C\n.\n", MailData, false},
		{"MailData", "C\r\n.\r\n", Commands, false},
		{"MailData", "S250 early\r\n", MailData, false},
		{"Chunk", "S503 no\r\n", Chunk, false}, // its octets come all the same
		{"Chunk", "C01234567890123456789", Commands, false},
		{"Chunk", "C0123456789012345678", Chunk, false},
		{"AuthExchange", "CSTARTTLS\r\n", Waiting, false}, // a line of the exchange
		{"AuthExchange", "C*\r\n", Waiting, false},
		{"Waiting", "CSTARTTLS\r\n", Waiting, false},
		{"Waiting", "S354 go\r\n", MailData, false},
		{"Waiting", "S354-go\r\n", Waiting, false},
		{"Waiting", "S354-go\r\n354 on\r\n", MailData, false},
		{"Waiting", "S503 no\r\n", Commands, false},
		{"Waiting", "S250 what\r\n", Commands, false},
		{"Waiting", "S334 what\r\n", Commands, false},
		{"Asked", "CRSET\r\n", Asked, false},
		{"Asked", "S220 go\r\n", Left, false},
		{"Asked", "S220-go\r\n", Asked, false},
		{"Asked", "S220-go\r\n220 on\r\n", Left, false},
		{"Asked", "S454 no\r\n", Commands, false},
		{"Asked", "S250 what\r\n", Commands, false},
		{"Asked", "Swhat\r\n", Commands, false},
		{"Pipelined", "S250 ok\r\n", Waiting, true},
		{"Pipelined", "S250 ok\r\n250 ok\r\n354 go\r\n", MailData, true},
		{"Pipelined", "S550 no\r\n503 no\r\n503 no\r\n", Commands, false},
		{"InReply", "SARTTLS\r\n250 ok\r\n", Commands, false},
		{"Surplus", "S250 x\r\n", Commands, false},
	} {
		for _, cut := range []int{0, 1, 2} {
			v := newDrive()
			v.play(cut, states[c.state]...)
			v.play(cut, c.input)
			if v.d.Mode() != c.want || v.d.InTransaction() != c.transaction {
				t.Errorf("%s, %q cut in %d: mode %d, in transaction %v; want %d, %v", c.state, c.input, cut, v.d.Mode(), v.d.InTransaction(), c.want, c.transaction)
			}
		}
	}
}

func TestEveryVerbIsReadInAnyCaseAndOnlyWhole(t *testing.T) {
	for verb := VerbHELO; verb < VerbGreeting; verb++ {
		name := verb.String()
		for _, line := range []string{name, strings.ToLower(name), name[:1] + strings.ToLower(name[1:]), name + " x", name + " "} {
			v := newDrive()
			v.play(0, hello)
			_, ev := v.d.Client([]byte(line+"\r\n"), &v.spare)
			if ev.Kind != ClientCommand || ev.Verb != verb || string(ev.Line) != line || ev.Flags&^(Parameter|BadSize) != 0 {
				t.Errorf("%q: kind %d, verb %v, flags %d", line, ev.Kind, ev.Verb, ev.Flags)
			}
		}
		for _, line := range []string{name + "X", "X" + name, name[:len(name)-1], name + "-", name + "=1", name + ":"} {
			v := newDrive()
			v.play(0, hello)
			_, ev := v.d.Client([]byte(line+"\r\n"), &v.spare)
			if ev.Verb == verb && verb != VerbSTARTTLS {
				t.Errorf("%q was read as %v", line, verb)
			}
		}
	}
	for _, line := range []string{"", " ", "greeting", "end of mail data", "?"} {
		v := newDrive()
		v.play(0, hello)
		if _, ev := v.d.Client([]byte(line+"\r\n"), &v.spare); ev.Kind != ClientCommand || ev.Verb != VerbUnknown {
			t.Errorf("%q: kind %d, verb %v", line, ev.Kind, ev.Verb)
		}
	}
}

func TestWhatAServerMayTakeForSTARTTLSIsMarked(t *testing.T) {
	for _, c := range []struct {
		line  string
		verb  Verb
		flags CommandFlags
		mode  Mode
	}{
		{"STARTTLS\r\n", VerbSTARTTLS, 0, Asked},
		{"STARTTLS   \r\n", VerbSTARTTLS, 0, Asked},
		{"STARTTLS x\r\n", VerbSTARTTLS, Parameter, Asked},
		{"STARTTLS\n", VerbSTARTTLS, Malformed, Asked},
		{" STARTTLS\r\n", VerbSTARTTLS, Malformed, Asked},
		{"\tstarttls\r\n", VerbSTARTTLS, Malformed, Asked},
		{"\x00STARTTLS\r\n", VerbSTARTTLS, Malformed, Asked},
		{"STARTTLS\tx\r\n", VerbSTARTTLS, Malformed | Parameter, Asked},
		{"STARTTLSX\r\n", VerbSTARTTLS, Malformed, Commands},
		{"STARTTLS;\r\n", VerbSTARTTLS, Malformed, Commands},
		{"\tMAIL FROM:<>\r\n", VerbMAIL, Malformed, Commands},
		{"MAIL\tFROM:<>\r\n", VerbMAIL, Malformed, Commands},
		{" DATA\r\n", VerbDATA, Malformed, Waiting},
		{" BDAT 5\r\n", VerbBDAT, Malformed | BadSize, Commands},
		{"BDAT\t5\r\n", VerbBDAT, Malformed | BadSize, Commands},
		{"BDAT 5\r\n", VerbBDAT, Unoffered, Commands},
		{"BDAT 0 LAST\r\n", VerbBDATLast, Unoffered, Commands},
		{"STARTTL\r\n", VerbUnknown, 0, Commands},
		{"START TLS\r\n", VerbUnknown, 0, Commands},
		{"XSTARTTLS\r\n", VerbUnknown, 0, Commands},
		{"NOOP STARTTLS\r\n", VerbNOOP, 0, Commands},
	} {
		v := newDrive()
		v.play(0, hello)
		_, ev := v.d.Client([]byte(c.line), &v.spare)
		if ev.Verb != c.verb || ev.Flags != c.flags || v.d.Mode() != c.mode {
			t.Errorf("%q: %v, flags %d, mode %d; want %v, %d, %d", c.line, ev.Verb, ev.Flags, v.d.Mode(), c.verb, c.flags, c.mode)
		}
	}
}

func TestCommandsBeforeTheGreetingAndInATransactionAreMarked(t *testing.T) {
	v := newDrive()
	if _, ev := v.d.Client([]byte("NOOP\r\n"), &v.spare); ev.Flags != Early {
		t.Errorf("before the greeting: flags %d", ev.Flags)
	}
	v = newDrive()
	v.play(0, hello, "CMAIL FROM:<a@b>\r\n")
	if v.d.InTransaction() {
		t.Error("in a transaction before MAIL is answered")
	}
	v.play(0, said250)
	if _, ev := v.d.Client([]byte("STARTTLS\r\n"), &v.spare); ev.Flags != InTransaction {
		t.Errorf("in a transaction: flags %d", ev.Flags)
	}
	for _, end := range []string{"RSET", "EHLO a", "HELO a"} {
		v := newDrive()
		v.play(0, hello, "CMAIL FROM:<a@b>\r\n", said250, "C"+end+"\r\n", "S500 no\r\n")
		if !v.d.InTransaction() {
			t.Errorf("a refused %s ended the transaction", end)
		}
		v.play(0, "C"+end+"\r\n", said250)
		if v.d.InTransaction() {
			t.Errorf("%s did not end the transaction", end)
		}
	}
}

func TestTheEndOfMailDataIsWhereTheWholeTextHasItFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"\r", "\n", ".", "\r\n", "\r\n.", "\r\n.\r", ".\r\n", "a", "\x00"}), 0, 40).Draw(t, "text"), "")
		want := len(text)
		i := strings.Index("\r\n"+text, "\r\n.\r\n")
		if i >= 0 {
			want = i + len(".\r\n")
		}
		v := newDrive()
		v.play(0, states["MailData"]...)
		at, ended := 0, false
		for rest := text; len(rest) > 0 && !ended; {
			size := rapid.IntRange(1, len(rest)).Draw(t, "size")
			n, ev := v.d.Client([]byte(rest[:size]), &v.spare)
			if n == 0 || n < size && ev.Kind == ClientNone {
				t.Fatalf("%d of %d octets consumed, and no event", n, size)
			}
			at, ended = at+n, ev.Kind == ClientEndOfData
			rest = rest[n:]
		}
		if ended != (i >= 0) || ended && at != want {
			t.Fatalf("%q: ended %v at %d, want %v at %d", text, ended, at, i >= 0, want)
		}
	})
}

func TestBDATSizesAreRead(t *testing.T) {
	for _, c := range []struct {
		args string
		bad  bool
		mode Mode
	}{
		{" 1", false, Chunk},
		{" 1 LAST", false, Chunk},
		{" 1 last", false, Chunk},
		{" 0", false, Commands},
		{" 0 LAST", false, Commands},
		{" 000000000000000000000000012", false, Chunk},
		{" 9223372036854775799", false, Chunk},
		{" 9223372036854775808", true, Commands}, // 2^63
		{" 18446744073709551617", true, Commands},
		{" 99999999999999999999999999999999999999999", true, Commands},
		{"", true, Commands},
		{" ", true, Commands},
		{" LAST", true, Commands},
		{" -1", true, Commands},
		{" +1", true, Commands},
		{" 1x", true, Commands},
		{" 0x10", true, Commands},
		{" 1 LAST x", true, Commands},
		{" 1 FIRST", true, Commands},
		{" 1\tLAST", true, Commands},
		{" 1 ", false, Chunk},
	} {
		v := newDrive()
		v.play(0, hello, ehlo, offersChunking)
		_, ev := v.d.Client([]byte("BDAT"+c.args+"\r\n"), &v.spare)
		if ev.Verb != VerbBDAT && ev.Verb != VerbBDATLast || (ev.Flags&BadSize != 0) != c.bad || v.d.Mode() != c.mode {
			t.Errorf("BDAT%s: %v, flags %d, mode %d", c.args, ev.Verb, ev.Flags, v.d.Mode())
		}
	}
}

func TestAChunkIsAsLongAsItSays(t *testing.T) {
	for _, cut := range []int{0, 1, 3, 10} {
		v := newDrive()
		v.play(cut, hello, ehlo, offersChunking, "CMAIL FROM:<a@b>\r\n", said250, "CBDAT 10\r\nSTARTTLS\r\nBDAT 7 LAST\r\nQUIT\r\n.RSET\r\n", said250)
		if !v.d.InTransaction() {
			t.Error("a BDAT that is not the last ended the transaction")
		}
		v.play(cut, said250, said250)
		if v.d.InTransaction() {
			t.Error("BDAT LAST did not end the transaction")
		}
		var verbs []string
		for _, e := range v.events {
			if f := strings.Fields(e); f[0] == "C" {
				verbs = append(verbs, f[1]+" "+f[2])
			}
		}
		want := fmt.Sprint([]string{"1 EHLO", "1 MAIL", "1 BDAT", "4 BDAT", "1 BDAT", "4 BDAT", "1 RSET"})
		if got := fmt.Sprint(verbs); got != want {
			t.Errorf("cut in %d: events %s, want %s", cut, got, want)
		}
	}
}

func TestALineOfAnAUTHExchangeIsNoCommand(t *testing.T) {
	v := newDrive()
	v.play(0, hello, "CAUTH LOGIN\r\n", "S334 VXNlcm5hbWU6\r\n", "CSTARTTLS\r\nQUIT\r\n")
	if v.d.Mode() != Waiting || len(v.client) != len("QUIT\r\n") {
		t.Fatalf("mode %d, %q not consumed", v.d.Mode(), v.client)
	}
	if to, _ := v.d.Next(); to.Verb != VerbAuthResponse {
		t.Fatalf("%v waits for the reply", to.Verb)
	}
	v.play(0, "S334 UGFzc3dvcmQ6\r\n") // and so QUIT is a response, too
	v.play(0, "S235 ok\r\n", "CSTARTTLS\r\n")
	if v.d.Mode() != Asked {
		t.Fatalf("mode %d behind the exchange", v.d.Mode())
	}
}

func TestAfterARefusedDATAWhatFollowsAreCommands(t *testing.T) {
	for _, cut := range []int{0, 1} {
		v := newDrive()
		v.play(cut, hello, "CDATA\r\nRSET\r\nSTARTTLS\r\n")
		if got := string(v.client); got != "RSET\r\nSTARTTLS\r\n" {
			t.Fatalf("%q was not left for the reply to decide", got)
		}
		v.play(cut, "S503 no\r\n")
		if v.d.Mode() != Asked {
			t.Fatalf("mode %d", v.d.Mode())
		}
	}
}

func TestALineLongerThanMaxHeadIsReadToItsEnd(t *testing.T) {
	for _, length := range []int{MaxHead - 2, MaxHead - 1, MaxHead, MaxHead + 1, 5 * MaxHead} {
		line := "NOOP " + strings.Repeat("x", length-5)
		for _, cut := range []int{0, 1, 700, MaxHead} {
			v := newDrive()
			v.play(cut, hello, "C"+line+"\r\nQUIT\r\n", "S250-"+strings.Repeat("y", length)+"\r\n250 ok\r\n")
			tooLong := length+2 > MaxHead
			kept := line
			if tooLong {
				kept = (line + "\r\n")[:MaxHead]
			}
			odd := LineFlags(0)
			if tooLong {
				odd = TooLong
			}
			if kept[len(kept)-1] == '\r' {
				odd |= BareCR
			}
			want := fmt.Sprintf("C 1 NOOP flags=0 odd=%d %q 0-%d", odd, kept, length+2)
			if v.events[1] != want {
				t.Errorf("length %d, cut in %d:\n%.200s\nwant\n%.200s", length, cut, v.events[1], want)
			}
			if len(v.events) != 5 || !strings.Contains(v.events[2], "QUIT") {
				t.Errorf("length %d, cut in %d: %d events", length, cut, len(v.events))
			}
			v.check(t)
		}
	}
}

func TestAMissedGreetingIsMadeUpFor(t *testing.T) {
	v := newDrive()
	v.play(0, "CEHLO a\r\n", "S250-mx\r\n250 STARTTLS\r\n", "CSTARTTLS\r\n", "S220 go\r\n")
	if v.d.Mode() != Left {
		t.Errorf("mode %d", v.d.Mode())
	}
}

func TestARefusedCommandIsMarkedUntilItsReply(t *testing.T) {
	for _, c := range []string{"MAIL FROM:<>", "AUTH PLAIN", "STARTTLS"} {
		v := newDrive()
		v.play(0, hello, "CNOOP\r\n"+c+"\r\n")
		v.d.Refused(7)
		if v.d.Mode() != Commands {
			t.Errorf("%s: mode %d", c, v.d.Mode())
		}
		v.play(0, said250)
		if to, ok := v.d.Next(); !ok || to.Verb != VerbNOOP || to.Note != 7 {
			t.Errorf("%s: %+v waits", c, to)
		}
		v.play(0, "S220 ok\r\n")
		if v.d.Mode() != Commands || v.d.InTransaction() {
			t.Errorf("%s: mode %d after the reply to its NOOP", c, v.d.Mode())
		}
	}
}

func TestNoMoreThanMaxPendingCommandsWait(t *testing.T) {
	v := newDrive()
	v.play(0, hello)
	group := []byte(strings.Repeat("NOOP\r\n", MaxPending+1))
	count := 0
	for {
		n, ev := v.d.Client(group, &v.spare)
		group = group[n:]
		if ev.Kind == ClientTooMany {
			break
		}
		if ev.Kind != ClientCommand {
			t.Fatalf("kind %d after %d commands", ev.Kind, count)
		}
		count++
	}
	if count != MaxPending {
		t.Errorf("%d commands were followed, want %d", count, MaxPending)
	}
	v.play(0, "S"+strings.Repeat("250 ok\r\n", MaxPending)+"250 surplus\r\n")
	if _, waits := v.d.Next(); waits || !strings.Contains(v.events[len(v.events)-1], "surplus=true") {
		t.Error("the replies do not add up")
	}
}

func TestPendingIsAQueueWhateverItsSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pending
		var model []Command
		for i := range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(model) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				if *p.front() != model[0] || p.pop() != model[0] {
					t.Fatal("another command than the oldest")
				}
				model = model[1:]
			} else {
				c := Command{Verb: Verb(i), Note: uint8(i)}
				if !p.push(c) || *p.back() != c {
					t.Fatal("the newest is not at the back")
				}
				model = append(model, c)
			}
			if int(p.length) != len(model) || p.empty() != (len(model) == 0) {
				t.Fatalf("%d wait, want %d", p.length, len(model))
			}
		}
	})
}

func TestBuffersOfLinesThatCameInPiecesAreUsedAgain(t *testing.T) {
	v := newDrive()
	v.play(1, hello)
	for range 50 {
		v.play(1, "CNOOP\r\n", said250)
	}
	if n := len(v.spare.lines.free); n > 2 {
		t.Errorf("%d buffers were made", n)
	}
	v.play(0, "CNO")
	v.check(t)
	if n := len(v.spare.lines.free); n < 1 || n > 2 {
		t.Errorf("%d buffers are spare after Release", n)
	}
	hi, end, no, op := []byte("220 hi"), []byte("\r\n"), []byte("NO"), []byte("OP\r\n")
	if n := testing.AllocsPerRun(100, func() {
		v.d.Init()
		v.d.Server(hi, &v.spare)
		v.d.Server(end, &v.spare)
		v.d.Client(no, &v.spare)
		v.d.Client(op, &v.spare)
		v.d.Release(&v.spare)
	}); n != 0 {
		t.Errorf("%v allocations for two lines in pieces", n)
	}
}

func TestArgumentsOfTheEnvelopeAreReadAsSent(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"MAIL FROM:<a@b> SIZE=1", "<a@b>"},
		{"MAIL FROM: <a@b>", "<a@b>"},
		{"MAIL FROM:<>", "<>"},
		{"MAIL FROM:a@b", "a@b"},
		{"MAIL FROM:<a@b", "<a@b"},
		{"MAIL", ""},
	} {
		if got := string(Path([]byte(c.line))); got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	for _, c := range []struct{ line, want string }{{"EHLO a.example", "a.example"}, {"EHLO  [192.0.2.1] ", "[192.0.2.1]"}, {"EHLO", ""}, {"HELO ", ""}} {
		if got := string(Domain([]byte(c.line))); got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	for _, c := range []struct{ text, keyword, params string }{{"SIZE 100", "SIZE", "100"}, {"AUTH=LOGIN", "AUTH", "LOGIN"}, {"STARTTLS", "STARTTLS", ""}, {"", "", ""}} {
		k, p := Keyword([]byte(c.text))
		if string(k) != c.keyword || string(p) != c.params {
			t.Errorf("%q: %q %q", c.text, k, p)
		}
	}
}
