package inspect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keepword/inspect"
)

// account plays a client's commands to a server that takes them all, and returns the
// flow's record.
func account(t *testing.T, commands ...string) inspect.FlowRecord {
	t.Helper()
	w := newWire(t, setup{})
	w.s(greeting)
	for _, c := range commands {
		w.c(c + "\r\n")
		w.s("250 ok\r\n")
	}
	w.p.Flush(w.now)
	if len(w.rec.flows) != 1 {
		t.Fatalf("%d flow records, want 1", len(w.rec.flows))
	}
	return w.rec.flows[0]
}

func TestARecordTellsOfTheFirstTransactionOnly(t *testing.T) {
	f := account(t, "EHLO one.example", "MAIL FROM:<a@one.example>", "RCPT TO:<b@one.example>",
		"EHLO two.example", "MAIL FROM:<a@two.example>", "RCPT TO:<b@two.example>")
	if f.HELO != "one.example" || f.MailFrom != "<a@one.example>" || !slices.Equal(f.RcptTo, []string{"<b@one.example>"}) {
		t.Errorf("it tells of %q, %q, %q", f.HELO, f.MailFrom, f.RcptTo)
	}
}

func TestARecordTellsOfTheFirstEightRecipients(t *testing.T) {
	commands, want := []string{"EHLO one.example", "MAIL FROM:<a@one.example>"}, []string{}
	for i := range 9 {
		commands = append(commands, fmt.Sprintf("RCPT TO:<%d@example>", i))
		want = append(want, fmt.Sprintf("<%d@example>", i))
	}
	if f := account(t, commands...); !slices.Equal(f.RcptTo, want[:8]) {
		t.Errorf("it tells of %q", f.RcptTo)
	}
}

func TestALongWordIsToldUpToWhatADomainMayHave(t *testing.T) {
	for _, n := range []int{254, 255, 256, 315, 400} {
		name := strings.Repeat("n", n)
		f := account(t, "EHLO "+name, "MAIL FROM:<a@example>", "RCPT TO:<b@example>")
		if f.HELO != name[:min(n, 255)] || f.MailFrom != "<a@example>" || !slices.Equal(f.RcptTo, []string{"<b@example>"}) {
			t.Errorf("of %d octets it tells of %d, and of %q and %q", n, len(f.HELO), f.MailFrom, f.RcptTo)
		}
	}
}

// A session has room for 468 octets of words, each behind two of our own.
func TestAWordForWhichThereIsNoRoomIsLeftOutWhole(t *testing.T) {
	const room, helo, last = 468, 255, 7
	name, sender := strings.Repeat("n", helo), strings.Repeat("s", room-helo-last-3*2-2)
	for n, want := range map[int]bool{last: true, last + 1: false, last + 2: false} {
		recipient := "<" + strings.Repeat("r", n-2) + ">"
		f := account(t, "EHLO "+name, "MAIL FROM:<"+sender+">", "RCPT TO:"+recipient)
		if f.HELO != name || f.MailFrom != "<"+sender+">" || slices.Equal(f.RcptTo, []string{recipient}) != want || len(f.RcptTo) > 1 {
			t.Errorf("a recipient of %d octets is told: %q, want %v", n, f.RcptTo, want)
		}
	}
}
