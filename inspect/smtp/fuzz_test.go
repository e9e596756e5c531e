package smtp

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// turnMark separates the turns of a fuzzed session; the client has the first.
const turnMark = 0xff

// splitInvariant plays the same octets whole, one by one and cut, and compares.
func splitInvariant(t testing.TB, state string, data []byte, cut int) {
	t.Helper()
	play := func(cut int) *drive {
		v := newDrive()
		v.play(0, states[state]...)
		for i, turn := range bytes.Split(data, []byte{turnMark}) {
			v.take(i%2 == 0, turn, cut)
		}
		return v
	}
	whole := play(0)
	for _, c := range []int{1, cut} {
		v := play(c)
		wantEvents(t, "cut", v.events, whole.events)
		if v.d.Mode() != whole.d.Mode() || v.atC != whole.atC || v.atS != whole.atS {
			t.Fatalf("cut in %d: mode %d after %d and %d octets, whole: %d after %d and %d", c, v.d.Mode(), v.atC, v.atS, whole.d.Mode(), whole.atC, whole.atS)
		}
		v.check(t)
	}
	whole.check(t)
}

var seeds = []string{
	"EHLO a\r\n\xff250-mx\r\n250-STARTTLS\r\n250 SIZE\r\n\xffSTARTTLS\r\n\xff220 go\r\n\xffx",
	"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\xff250 ok\r\n550 no\r\n503 no\r\n\xffQUIT\r\n\xff221 bye\r\n",
	"text\r\n.\r\nRSET\r\n\xff250 ok\r\n250 ok\r\n",
	"..\r\n.\n.\r\r\n.\r\n\xff250 ok\r\n",
	"Hi\r\n.\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n\r.\rx\rmail from:\r\n.\r\nQUIT\r\n\xff250 ok\r\n",
	"BDAT 4\r\nSTARBDAT 0 LAST\r\n\xff250 ok\r\n250 ok\r\n",
	"STARTTLS\r\n\xff334 more\r\n\xff*\r\n\xff501 no\r\n",
	" STARTTLS\r\n\tstarttls x\r\nSTARTTLSX\r\n\xff500\r\n500\r\n",
	"\xff220 a\r\n250 b\r\n\xffNOOP\n\xff250-a\r\n251 b\r\nno reply\r\n250\r\n",
	"AUTH PLAIN\r\n\xff334 \r\n\xffAGEAYg==\r\n\xff235 ok\r\nTURN\r\n\xff250 ok\r\n",
	"A\x00B\rC\r\n\xff\x00\r\n99\r\n1000 x\r\n250+x\r\n",
}

func fuzzState(f *testing.F, state string) {
	for _, s := range seeds {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		splitInvariant(t, state, data, int(cut)+1)
	})
}

func FuzzGreeting(f *testing.F)     { fuzzState(f, "Greeting") }
func FuzzCommands(f *testing.F)     { fuzzState(f, "Commands") }
func FuzzMailData(f *testing.F)     { fuzzState(f, "MailData") }
func FuzzChunk(f *testing.F)        { fuzzState(f, "Chunk") }
func FuzzAuthExchange(f *testing.F) { fuzzState(f, "AuthExchange") }
func FuzzWaiting(f *testing.F)      { fuzzState(f, "Waiting") }
func FuzzAsked(f *testing.F)        { fuzzState(f, "Asked") }
func FuzzPipelined(f *testing.F)    { fuzzState(f, "Pipelined") }
func FuzzInReply(f *testing.F)      { fuzzState(f, "InReply") }
func FuzzSurplus(f *testing.F)      { fuzzState(f, "Surplus") }

// pieces of dialogues, for sessions that random octets would never be.
var clientPieces = []string{"EHLO a\r\n", "MAIL FROM:<a@b>\r\n", "DATA\r\n", "BDAT 7\r\n", "BDAT 3 LAST\r\n", "AUTH LOGIN\r\n", "STARTTLS\r\n",
	"STARTTLS x\r\n", " STARTTLS\r\n", "RSET\r\n", "text\r\n", ".\r\n", "\r\n.\r\n", "\r", "\n", ".", "U1RBUlRUTFM=\r\n", "*\r\n", "NOOP\n", "TURN\r\n", "X\x00\r\n"}
var serverPieces = []string{"220 a\r\n", "250-b\r\n", "250 c\r\n", "354 go\r\n", "334 \r\n", "235 ok\r\n", "454 no\r\n", "503 no\r\n", "421 bye\r\n",
	"hello\r\n", "2", "50", "\r\n", "251-x\r\n", "000 x\r\n", "250\n"}

func TestAnyCutGivesTheSameEvents(t *testing.T) {
	long := string(bytes.Repeat([]byte{'l'}, MaxHead-3))
	rapid.Check(t, func(t *rapid.T) {
		var turns []byte
		for i := range rapid.IntRange(1, 12).Draw(t, "turns") {
			from := append(clientPieces, long)
			if i%2 == 1 {
				from = append(serverPieces, long)
			}
			for range rapid.IntRange(0, 5).Draw(t, "pieces") {
				turns = append(turns, rapid.SampledFrom(from).Draw(t, "piece")...)
			}
			turns = append(turns, turnMark)
		}
		whole, cut := newDrive(), newDrive()
		for i, turn := range bytes.Split(turns, []byte{turnMark}) {
			whole.take(i%2 == 0, turn, 0)
			for len(turn) > 0 {
				n := rapid.IntRange(1, len(turn)).Draw(t, "size")
				cut.take(i%2 == 0, turn[:n], 0)
				turn = turn[n:]
			}
		}
		if g, w := cut.events, whole.events; len(g) != len(w) {
			t.Fatalf("%d events, want %d", len(g), len(w))
		}
		for i := range whole.events {
			if cut.events[i] != whole.events[i] {
				t.Fatalf("event %d is\n%s, want\n%s", i, cut.events[i], whole.events[i])
			}
		}
		if cut.d.Mode() != whole.d.Mode() || cut.d.InTransaction() != whole.d.InTransaction() || cut.d.InReply() != whole.d.InReply() {
			t.Fatal("the states differ")
		}
	})
}
