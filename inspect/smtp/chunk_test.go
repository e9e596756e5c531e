package smtp

import (
	"fmt"
	"strings"
	"testing"
)

// chunked returns octets as BDATs of at most size octets each.
func chunked(octets string, size int) string {
	var b strings.Builder
	for len(octets) > size {
		fmt.Fprintf(&b, "BDAT %d\r\n%s", size, octets[:size])
		octets = octets[size:]
	}
	fmt.Fprintf(&b, "BDAT %d LAST\r\n%s", len(octets), octets)
	return b.String()
}

// smuggledIn counts what is told as smuggled of a message that comes by BDAT.
func smuggledIn(t *testing.T, octets string, cut int) (n int) {
	t.Helper()
	v := newDrive()
	v.play(0, "S220 mx\r\n", "CEHLO a\r\n", "S250-mx\r\n250 CHUNKING\r\n", "CMAIL FROM:<a@b>\r\n", "S250 ok\r\n")
	v.events = nil
	v.play(cut, "C"+octets+"QUIT\r\n")
	for _, e := range v.events {
		if strings.Contains(e, " behind ") {
			n++
		}
	}
	if last := v.events[len(v.events)-1]; !strings.Contains(last, "QUIT") {
		t.Errorf("%q: the last event is %s", octets, last)
	}
	v.check(t)
	return n
}

func TestSmugglingInChunksIsReportedHoweverTheyAreCut(t *testing.T) {
	for _, ending := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\r\n.\r\r\n", "\r\n\x00.\r\n"} {
		for size := 1; size < 40; size++ {
			for _, cut := range []int{0, 1, 3} {
				octets := chunked("text"+ending+"MAIL FROM:<c@d>\r\nRCPT TO:<e@f>\r\n", size)
				if n := smuggledIn(t, octets, cut); n == 0 {
					t.Fatalf("%q in chunks of %d, cut in %d: not reported", ending, size, cut)
				}
			}
		}
	}
}

func TestWhatIsTextInChunksIsNoSmuggling(t *testing.T) {
	for _, text := range []string{
		"text\r\n.\r\nMAIL FROM:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\nQUIT\r\n", // a dot needs no other before it here
		"one\n.\ntwo\nthree\n",
		"STARTTLS\r\nBDAT 5 LAST\r\n",
		strings.Repeat("x", 200_000),
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			if size == 1 && len(text) > 1000 {
				continue
			}
			if n := smuggledIn(t, chunked(text, size), 0); n > 0 {
				t.Errorf("%.40q in chunks of %d: %d", text, size, n)
			}
		}
	}
}

func TestAMessageInChunksDoesNotReachIntoTheNext(t *testing.T) {
	for _, between := range []string{"", "RSET\r\n", "EHLO a\r\n", "helo a\r\n", "BDAT 0 LAST\r\n"} {
		last := "BDAT 3\r\n\n.\n"
		if between == "" {
			last = "BDAT 3 LAST\r\n\n.\n"
		}
		if n := smuggledIn(t, last+between+"BDAT 17 LAST\r\nMAIL FROM:<c@d>\r\n", 0); n > 0 {
			t.Errorf("behind %q: %d", between, n)
		}
	}
}

func TestACommandBetweenChunksDoesNotHideSmuggling(t *testing.T) {
	for _, between := range []string{"NOOP\r\n", "VRFY a\r\n", "HELP\r\n", "XYZZY\r\n", "RCPT TO:<a@b>\r\n", "MAIL FROM:<a@b>\r\n", "BDAT 0\r\n"} {
		if n := smuggledIn(t, "BDAT 3\r\n\n.\n"+between+"BDAT 17 LAST\r\nMAIL FROM:<c@d>\r\n", 0); n != 1 {
			t.Errorf("behind %q: %d", between, n)
		}
	}
}

func TestWhatIsFollowedInAChunkIsNoLineOfTheClients(t *testing.T) {
	v := newDrive()
	v.play(0, hello, ehlo, offersChunking, "CBDAT 100000 LAST\r\n\n.\nMAIL FROM:<"+strings.Repeat("a", 70_000))
	if _, n := v.d.ClientPartial(); n != 0 {
		t.Errorf("%d octets of a line", n)
	}
	v.check(t)
}
