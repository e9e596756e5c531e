package smtp

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/maildata"
)

// dataEvents returns the events of the client's octets in MailData, given whole or in
// pieces, and how the Dialogue was left.
func dataEvents(cut int, octets string) *drive {
	v := newDrive()
	v.play(0, states["MailData"]...)
	v.events, v.atC = nil, 0
	v.take(true, []byte(octets), cut)
	return v
}

func TestASmuggledCommandIsReportedWithItsLineAndTheEndingBeforeIt(t *testing.T) {
	long := "MAIL FROM:<" + strings.Repeat("a", 2*MaxHead) + ">"
	for octets, want := range map[string]string{
		"Hi\r\n.\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\r\n": `C 6 ? flags=0 odd=0 "MAIL FROM:<a@b>" 6-22 behind CRLF.LF`,
		"Hi\r.\rQUIT\rx":            `C 6 ? flags=0 odd=0 "QUIT" 5-10 behind CR.CR`,
		"\n.\r\nx\r\nmail from:y\r": `C 6 ? flags=0 odd=0 "mail from:y" 7-19 behind LF.CRLF`,
		"\r\n\x00.\r\nRSET\r\n":     `C 6 ? flags=0 odd=0 "RSET" 6-11 behind CRLF.CRLF with NUL`,
		"\n.\n" + long + "\r\n":     fmt.Sprintf("C 6 ? flags=0 odd=0 %q 3-%d behind LF.LF", long[:MaxHead], 4+len(long)),
	} {
		for _, cut := range []int{0, 1, 2, 3, 7} {
			v := dataEvents(cut, octets)
			if strings.HasSuffix(want, "LF.LF") && len(octets) > 2*MaxHead {
				// It exceeds MaxTextLine, too.
				wantEvents(t, octets[:20], v.events, []string{`C 7 ? flags=0 odd=0 "" -1004`, want})
			} else {
				wantEvents(t, fmt.Sprintf("%q cut in %d", octets, cut), v.events, []string{want})
			}
			if v.d.Mode() != MailData {
				t.Errorf("%q: mode %d", octets, v.d.Mode())
			}
			if head, n := v.d.ClientPartial(); head != nil || n != 0 {
				t.Errorf("%q: text is taken for a line of the client's: %q", octets, head)
			}
			v.check(t)
		}
	}
}

func TestNoReplyIsExpectedForASmuggledCommand(t *testing.T) {
	v := newDrive()
	v.play(0, append(states["MailData"], "C\n.\nRSET\r\nMAIL FROM:<a>\r\n\r\n.\r\nQUIT\r\n")...)
	v.events = nil
	v.play(0, "S250 ok\r\n221 bye\r\n")
	for i, to := range []string{"end of mail data", "QUIT"} {
		if !strings.Contains(v.events[i], "to "+to+" ") {
			t.Errorf("reply %d: %s", i, v.events[i])
		}
	}
}

func TestLongLinesOfMailDataAreReportedOnceForEachMessage(t *testing.T) {
	long := strings.Repeat("x", 999) + "\r\n"
	endless := strings.Repeat("y", maildata.MaxLine) + "\r\n"
	v := newDrive()
	message := []string{"CDATA\r\n", "S354 go\r\n", "C" + long + long + endless + endless + ".\r\n", "S250 ok\r\n"}
	v.play(0, append(append([]string{hello}, message...), message...)...)
	counts := map[string]int{}
	for _, e := range v.events {
		counts[strings.Join(strings.Fields(e)[:2], " ")]++
	}
	if counts[fmt.Sprint("C ", ClientLongLine)] != 2 || counts[fmt.Sprint("C ", ClientEndlessLine)] != 2 || v.d.Mode() != Commands {
		t.Errorf("%v, mode %d", counts, v.d.Mode())
	}
}

func TestAnyCutOfMailDataGivesTheSameEvents(t *testing.T) {
	pieces := append(clientPieces, "\n.\n", "\n.\r\n", "\r.\r", "\r\n\x00.\r\n", "MAIL FROM:<", "a@b>", "QUIT\r", "EHLO ", "text\n",
		strings.Repeat("l", 990), strings.Repeat("m", MaxHead))
	rapid.Check(t, func(t *rapid.T) {
		octets := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 20).Draw(t, "pieces"), "")
		whole, cut := dataEvents(0, octets), dataEvents(0, "")
		for left := octets; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(t, "size")
			cut.take(true, []byte(left[:n]), 0)
			left = left[n:]
		}
		if g, w := strings.Join(cut.events, "\n"), strings.Join(whole.events, "\n"); g != w || cut.d.Mode() != whole.d.Mode() || cut.atC != whole.atC {
			t.Fatalf("%q:\n%s\nwant\n%s", octets, g, w)
		}
	})
}

func TestADialogueIsSmall(t *testing.T) {
	if n := reflect.TypeFor[Dialogue]().Size(); n > 112 {
		t.Errorf("%d octets", n)
	}
}

func TestFollowingMailDataAllocatesNothing(t *testing.T) {
	v := dataEvents(0, "")
	octets := []byte(strings.Repeat("text, as most of it is. ", 3) + "\r\n\n.\nMAIL FROM:<a@b>\r\n")
	first, second := octets[:len(octets)-8], octets[len(octets)-8:]
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{first, second} {
			for len(b) > 0 {
				n, _ := v.d.Client(b, &v.spare)
				b = b[n:]
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkMailData follows 256 KiB of base64 in mail data, in packets as they come from
// a wire (1,448 octets) and from an interface that puts them together (64 KiB).
func BenchmarkMailData(b *testing.B) {
	text := []byte(strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 256<<10/78))
	for _, packet := range []int{1448, 64 << 10} {
		b.Run(fmt.Sprint("packet=", packet), func(b *testing.B) {
			v := dataEvents(0, "")
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for left := text; len(left) > 0; {
					n, ev := v.d.Client(left[:min(packet, len(left))], &v.spare)
					if ev.Kind != ClientNone {
						b.Fatal("ordinary mail data raised an event")
					}
					left = left[n:]
				}
			}
		})
	}
}
