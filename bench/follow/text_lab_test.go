//go:build lab

package follow

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// inMail returns a followed connection in mail data whose first octet has the number first.
func (g *gate) inMail(first uint32) *link {
	g.Helper()
	l := g.newLink()
	const dialogue = "EHLO client.example.test\r\n" + "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
	l.client.first = first - uint32(len(dialogue))
	l.open()
	l.greet()
	if !l.say(true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n") || !l.say(false, "250 Ok\r\n250 Ok\r\n354 Go\r\n") {
		g.Fatalf("the way to mail data came up")
	}
	return l
}

// text is what is known of mail data so far, octet by octet: the standard that the program keeps.
type text struct {
	line  int // octets of the line at hand, without a dot put before it
	dots  int // 1: it begins with a dot, and nothing has followed yet
	begun bool
	cr    bool
}

// takes says that an octet may follow by itself.
func (t *text) takes(o byte) bool {
	switch {
	case t.cr:
		if o != '\n' {
			return false
		}
		*t = text{}
		return true
	case o == '\n' || o == 0:
		return false
	case t.dots == 1 && o != '.':
		return false
	case o == '\r':
		t.cr = true
		return true
	}
	if o == '.' && !t.begun {
		t.dots, t.begun = 1, true
		return true
	}
	t.dots, t.begun = 0, true
	t.line++
	return t.line <= 998
}

// plain says that b is what the program may let through, behind what t knows; it takes note of it.
func (t *text) plain(b []byte) bool {
	end, ended := bytes.CutSuffix(b, []byte(".\r\n"))
	for _, o := range end {
		if !t.takes(o) {
			return false
		}
	}
	switch {
	case !ended:
		return t.dots == 0
	case !t.begun && !t.cr:
		return true // the end of mail data
	}
	return t.dots == 0 && t.takes('.') && t.takes('\r') && t.takes('\n')
}

var pieces = []string{
	"a line of a mail, as there are so many\r\n", "\r\n", "..\r\n", "..two dots\r\n", "a tab\tand \x01\x0b\x0c\x0e\x1f\r\n", "ends in a dot.\r\n",
	"8 bit \xc3\xa4\xc3\xb6\xc3\xbc \x8d\x8e\x8f\xff\x80\r\n", strings.Repeat("0123456789abcdef", 62) + "0123\r\n", strings.Repeat("x", 998) + "\r\n", ".." + strings.Repeat("y", 997) + "\r\n",
	strings.Repeat("TWFpbCBkYXRhIGluIGJhc2U2NA", 3) + "\r\n", "MAIL FROM:<a@example.test>\r\n", "no end of line ",
}

var notText = []string{
	".\r\n", ".x\r\n", "\n", "\r", "\r\r\n", "\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\n.\r\nMAIL FROM:<a@b>\r\n", "a\x00b\r\n", "\x00", ".\x00\r\n",
	strings.Repeat("x", 999) + "\r\n", strings.Repeat("x", 2000), "." + strings.Repeat("x", 998) + "\r\n",
}

// TestTheProgramReadsMailDataToTheStandard has random mail data come in segments, and compares what
// passes with the standard read octet by octet. Now and then a segment comes again in another form.
func TestTheProgramReadsMailDataToTheStandard(t *testing.T) {
	var passes, oddOnes, again int
	rapid.Check(t, func(t *rapid.T) {
		g := newGate(t, policy.Config{})
		at := rapid.SampledFrom([]uint32{5000, 1<<19 - 700, 1<<32 - 3000, 1<<31 - 2000}).Draw(t, "first")
		l := g.inMail(at)
		var known text
		conflict := false
		start := len(l.client.said)
		for range rapid.IntRange(1, 12).Draw(t, "segments") {
			var b []byte
			for n := rapid.IntRange(large+1, 3200).Draw(t, "size"); len(b) < n; {
				if rapid.IntRange(0, 150).Draw(t, "odd") == 77 {
					b = append(b, rapid.SampledFrom(notText).Draw(t, "odd")...)
				} else {
					b = append(b, rapid.SampledFrom(pieces).Draw(t, "piece")...)
				}
			}
			b = b[:min(len(b)-rapid.IntRange(0, 4).Draw(t, "cut"), 3300)]
			ends := rapid.IntRange(0, 8).Draw(t, "ends") == 0
			if ends {
				b = append(b, "\r\n.\r\n"...)
			}
			plain := known.plain(b)
			passed := l.put(true, string(b))
			if passed && !plain {
				t.Fatalf("%.200q... has passed", b)
			}
			if !passed {
				oddOnes++
				if plain && !conflict && !bytes.HasSuffix(b, []byte("..\r\n")) && b[0] != '.' {
					t.Fatalf("%.200q... came up", b)
				}
				break // from here on it is inspection's
			}
			passes++
			if rapid.IntRange(0, 3).Draw(t, "acknowledged") == 0 {
				l.acknowledge(false)
			}
			if rapid.IntRange(0, 5).Draw(t, "wakes") == 0 {
				l.wake()
			}
			if rapid.IntRange(0, 10).Draw(t, "again") == 5 { // another form of what was not acknowledged, or was
				from := rapid.IntRange(start, len(l.client.said)-1).Draw(t, "from")
				other := strings.Repeat("X", min(len(l.client.said)-from, 1400))
				l.server.got[1].octets = bytes.Clone(l.server.got[0].octets) // it has not lost what it has
				if l.send(l.segment(true, from, packet.ACK|packet.PSH, other)) {
					t.Fatal("a retransmission has passed")
				}
				l.wake()
				again++
				conflict = true // which was reported: it stays inspection's
			}
			if ends {
				break
			}
		}
		l.wake()
		g.wantNoDifference()
		l.wantOneTruth()
		if got := l.server.got[0].octets; !bytes.Equal(got, l.client.said[:len(got)]) {
			i := 0
			for got[i] == l.client.said[i] {
				i++
			}
			t.Fatalf("the server has got %q where %q was said, %d octets from the first on", got[i:min(len(got), i+50)], l.client.said[i:min(len(l.client.said), i+50)], i-start)
		}
		g.pipeline.Flush(g.now)
	})
	if passes < 30 || oddOnes < 5 || again < 1 {
		t.Errorf("%d segments have passed, %d came up, %d came again", passes, oddOnes, again)
	}
}

// TestWhatIsNotTextComesUp has each oddity come first, behind a line, within one, and at the end, and
// cut from what stands before it.
func TestWhatIsNotTextComesUp(t *testing.T) {
	line := strings.Repeat("a line of a mail, as there are so many\r\n", 20)
	for _, r := range shared.Rings() { // what lies there from before is no part of it
		for i := range r.Octets {
			r.Octets[i] = '.'
		}
	}
	for _, odd := range append(notText, ".", "\r.\r\n") {
		for _, c := range [][]string{{odd + line}, {line + odd + line}, {line + "x" + odd + line}, {line + odd}, {line + "x" + odd}, {line, odd}, {line + "x", odd}, {line + "\r", odd}} {
			g := newGate(t, policy.Config{})
			l := g.inMail(77)
			var known text
			for i, b := range c {
				plain := known.plain([]byte(b))
				if passed := l.put(true, b); passed != plain && (passed || !strings.HasPrefix(b, ".")) {
					t.Errorf("segment %d of %.50q: passed %v, plain %v", i, c, passed, plain)
				} else if !passed {
					break
				}
			}
			l.wake()
			l.acknowledge(false)
			l.send(l.segment(true, len(l.client.said), packet.RST, ""))
			l.wake()
			if n := takenRings(); n != 0 {
				t.Errorf("%d rings are taken behind %.50q", n, c)
			}
			g.wantNoDifference()
			g.pipeline.Flush(g.now)
		}
	}
}

// TestAnOddOctetIsFoundAtEveryPlaceOfALine, among lines that are as long.
func TestAnOddOctetIsFoundAtEveryPlaceOfALine(t *testing.T) {
	g := newGate(t, policy.Config{})
	for _, length := range []int{1, 5, 31, 32, 33, 39, 64, 76, 100} {
		line := strings.Repeat("x", length) + "\r\n"
		before, after := strings.Repeat(line, 3), strings.Repeat(line, 1+400/len(line))
		for at := range length {
			for _, odd := range "\x00\r\n" {
				l := g.inMail(77)
				if l.put(true, before+line[:at]+string(odd)+line[at+1:]+after) {
					t.Errorf("%q at %d of %d octets has passed", odd, at, length)
				}
			}
		}
	}
}

// TestNoRingIsTakenWhileOctetsAreInFlight: they would not be in it.
func TestNoRingIsTakenWhileOctetsAreInFlight(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	if !l.put(true, "a short line\r\n") || l.put(true, strings.Repeat("a line of a mail, as there are so many\r\n", 20)) {
		t.Error("the short line came up, or the long text has passed")
	}
	if takenRings() != 0 {
		t.Errorf("%d rings are taken", takenRings())
	}
	l.wake()
	l.wantOneTruth()
}

// TestNoMoreIsInFlightThanARingHolds: also where no window bounds it.
func TestNoMoreIsInFlightThanARingHolds(t *testing.T) {
	if err := shared.program.Set([]uint16{25, 587}, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shared.program.Set([]uint16{25, 587}, window); err != nil {
			t.Fatal(err)
		}
	}()
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	line, n := strings.Repeat("a line of a mail, as there are so many\r\n", 80), 0
	for l.put(true, line) {
		n += len(line)
	}
	l.wake()
	if size := len(shared.program.Rings()[0].Octets); n > size || n < size-len(line) {
		t.Errorf("%d octets were in flight, a ring holds %d", n, size)
	}
}

// TestALineThatIsCutBehindItsCRIsNoOctetLonger, when inspection reads on.
func TestALineThatIsCutBehindItsCRIsNoOctetLonger(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	if !l.put(true, strings.Repeat("x", 998)+"\r") {
		t.Fatal("a line came up")
	}
	l.send(l.segment(true, len(l.client.said)-9, packet.ACK, string(l.client.said[len(l.client.said)-9:])))
	l.wake()
	l.put(true, "\nand more\r\n")
	l.wake()
	if len(g.found) > 0 {
		t.Errorf("%v was found", g.found)
	}
	g.wantNoDifference()
	l.wantOneTruth()
}

// TestTheNextMessageTakesARingOfItsOwn: the one before is not the connection's any more.
func TestTheNextMessageTakesARingOfItsOwn(t *testing.T) {
	text := strings.Repeat("a line of a mail, as there are so many\r\n", 20)
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	l.say(true, text+".\r\n")
	l.wake()
	l.say(false, "250 Ok\r\n")
	other := g.inMail(99)
	other.say(true, text)
	l.say(true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
	l.say(false, "250 Ok\r\n250 Ok\r\n354 Go\r\n")
	if !l.say(true, text) || takenRings() != 2 {
		t.Errorf("two messages have %d rings", takenRings())
	}
	l.wake()
	g.wantNoDifference()
}

// TestARetransmissionIsComparedWithWhatTheProgramHasKept: what has passed in a ring is what leaves
// again, at whatever place, across the ring's end and that of sequence numbers.
func TestARetransmissionIsComparedWithWhatTheProgramHasKept(t *testing.T) {
	for _, first := range []uint32{5000, 1<<19 - 2000, 1<<32 - 2000} {
		g := newGate(t, policy.Config{})
		l := g.inMail(first)
		at := len(l.client.said)
		for range 3 {
			if !l.put(true, strings.Repeat("What was said first is what the server gets.\r\n", 40)) {
				t.Fatal("mail data came up")
			}
		}
		var copies [][]byte
		g.Deliver = func(pkt []byte) { copies = append(copies, bytes.Clone(mustParse(t, pkt).Payload)) }
		for _, from := range []int{at, at + 700, at + 1840, at + 3000, len(l.client.said) - 1400} {
			copies = nil
			if l.send(l.segment(true, from, packet.ACK|packet.PSH, strings.Repeat("EVIL", 350))) {
				t.Fatal("a retransmission has passed")
			}
			l.wake()
			if len(copies) != 1 || !bytes.Equal(copies[0], l.client.said[from:from+1400]) {
				t.Fatalf("from %d on the server gets %q", from-at, copies)
			}
		}
		g.wantNoDifference()
		g.pipeline.Flush(g.now)
	}
}

// takenRings returns how many belong to a connection.
func takenRings() (n int) {
	for _, r := range shared.program.Rings() {
		n += int(r.Taken.Load())
	}
	return n
}

// TestARingIsFreeAgain: at the end of mail data, of the connection, and when it has come up.
func TestARingIsFreeAgain(t *testing.T) {
	text := strings.Repeat("What was said first is what the server gets.\r\n", 40)
	for name, end := range map[string]func(l *link){
		"end of data": func(l *link) { l.say(true, text+".\r\n") },
		"FIN": func(l *link) {
			l.send(l.segment(true, len(l.client.said), packet.ACK|packet.FIN, ""))
		},
		"RST":            func(l *link) { l.send(l.segment(true, len(l.client.said), packet.RST, "")) },
		"it comes up":    func(l *link) { l.say(true, "\x00") },
		"end of an hour": func(l *link) { l.wake(); l.rest(2 * time.Hour); l.rest(2 * time.Second); l.rest(2 * time.Second) },
	} {
		g := newGate(t, policy.Config{})
		l := g.inMail(77)
		if takenRings() != 0 {
			t.Fatalf("%s: %d rings are taken before", name, takenRings())
		}
		if !l.say(true, text) || takenRings() != 1 {
			t.Fatalf("%s: %d rings are taken", name, takenRings())
		}
		end(l)
		l.acknowledge(false)
		l.wake()
		if takenRings() != 0 {
			t.Errorf("%s: %d rings are taken", name, takenRings())
		}
		g.wantNoDifference()
		g.pipeline.Flush(g.now)
	}
}

// TestARingOfASessionThatIsNotKnownAnyMoreIsFreeAgain: inspection may have lost it before it reads
// that the program has taken a ring.
func TestARingOfASessionThatIsNotKnownAnyMoreIsFreeAgain(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.inMail(77)
	if !l.put(true, strings.Repeat("What was said first is what the server gets.\r\n", 40)) || takenRings() != 1 {
		t.Fatalf("%d rings are taken", takenRings())
	}
	for range 4 {
		l.rest(2 * time.Hour) // the first time before the log is read
	}
	if takenRings() != 0 {
		t.Errorf("%d rings are taken", takenRings())
	}
}

// TestMailDataGoOnInTheRingWhenTheConnectionIsGrantedAgain: behind a retransmission, while octets
// are in flight.
func TestMailDataGoOnInTheRingWhenTheConnectionIsGrantedAgain(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.inMail(1<<19 - 3000)
	text := strings.Repeat("What was said first is what the server gets. ", 20) + "\r\n"
	for i := range 4 {
		if passed := l.put(true, text+text+"and a part of a line "); !passed && i != 0 {
			t.Fatalf("segment %d came up", i)
		}
		l.wake()
		l.put(true, "that goes on\r\nand")
		if l.send(l.segment(true, len(l.client.said)-100, packet.ACK|packet.PSH, string(l.client.said[len(l.client.said)-100:]))) {
			t.Fatal("a retransmission has passed")
		}
		l.wake()
	}
	if g.Witness.Text < 3 {
		t.Errorf("%d segments were read by the program", g.Witness.Text)
	}
	g.wantNoDifference()
	l.wantOneTruth()
	g.pipeline.Flush(g.now)
}
