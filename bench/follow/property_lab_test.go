//go:build lab

package follow

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

// turn is what one end says at once.
type turn struct {
	toServer bool
	octets   string
}

// storm is a link on which all happens that rapid draws.
type storm struct {
	*link
	t       *rapid.T
	flying  [][]byte // sent, and not at the gateway yet
	hostile bool
}

func (s *storm) draw(label string, below int) int { return rapid.IntRange(0, below-1).Draw(s.t, label) }

// words draws octets of which some are not what a dialogue has.
func (s *storm) words(label string, texts ...string) string {
	return rapid.SampledFrom(texts).Draw(s.t, label)
}

// transaction draws a mail transaction, or another part of a dialogue.
func (s *storm) transaction() []turn {
	switch s.draw("part", 10) {
	case 0:
		return []turn{{true, s.words("word", "NOOP\r\n", "RSET\r\n", "noop\r\n", "NOOP x\r\n", "VRFY a\r\n", "HELP\r\n")}, {false, s.words("reply", "250 Ok\r\n", "250-Ok\r\n250 Ok\r\n", "502 No\r\n")}}
	case 1:
		return []turn{{true, "EHLO again.example.test\r\n"}, {false, s.words("offer", "250 a\r\n", "250-a\r\n250 STARTTLS\r\n", "250-a\r\n250-XXXXXXXA\r\n250 HELP\r\n", "250-a\r\n250 PIPELINING\r\n", "500 No\r\n")}}
	case 2:
		return []turn{{true, "STARTTLS\r\n"}, {false, s.words("answer", "454 No\r\n", "250 Ok\r\n", "502 No\r\n")}}
	case 3:
		return []turn{{true, "BDAT 5 LAST\r\nabcde"}, {false, "250 Ok\r\n"}}
	case 4:
		return []turn{{true, "AUTH PLAIN AGEAYg==\r\n"}, {false, "235 Ok\r\n"}}
	}
	envelope := []turn{
		{true, s.words("mail", "MAIL FROM:<a@example.test>\r\n", "MAIL FROM:<>\r\n", "mail from:<a@b> SIZE=5\r\n")}, {false, s.words("reply", "250 Ok\r\n", "250 Ok\r\n", "550 No\r\n")},
		{true, "RCPT TO:<b@example.test>\r\n"}, {false, s.words("reply", "250 Ok\r\n", "250 Ok\r\n", "550 No\r\n", "250-O\r\n250 k\r\n")},
		{true, "DATA\r\n"}, {false, s.words("go", "354 Go\r\n", "354 Go\r\n", "354 Go\r\n", "354-Go\r\n354 on\r\n", "554 No\r\n")},
	}
	mail := envelope[5].octets[0] == '3'
	if s.draw("grouped", 3) == 0 {
		envelope = []turn{{true, envelope[0].octets + envelope[2].octets + envelope[4].octets}, {false, envelope[1].octets + envelope[3].octets + envelope[5].octets}}
	}
	if !mail {
		return envelope
	}
	text := ""
	for range s.draw("lines", 12) {
		text += s.words("line", "a line\r\n", "\r\n", "..\r\n", "..x\r\n", ".x\r\n", "x.\r\n", "ends in a dot.\r\n", "MAIL FROM:<a@b>\r\n", "8\xe4\x00bit\r\n",
			"\x00.\r\n", ".\x00\r\n", "a long line, and so it goes on and on and on and on and on and on and on and on and on\r\n")
	}
	if s.hostile && s.draw("lenient", 4) == 0 {
		text += s.words("odd", "\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "x\r\r\n", "\r\n\x00.\r\n", "\n\n")
	}
	if s.draw("much", 8) == 0 {
		for range 200 {
			text += "a line of a mail that has many of them, so that much is in flight at the same time\r\n"
		}
	}
	return append(envelope, turn{true, text + ".\r\n"}, turn{false, s.words("end", "250 Ok\r\n", "250 Ok\r\n", "554 No\r\n")})
}

// next returns how many octets an end has got of the other.
func (s *storm) got(toServer bool) int {
	_, to := s.ends(toServer)
	return len(to.got[0].octets)
}

// of returns a segment of an end's octets.
func (s *storm) of(toServer bool, at, size int) []byte {
	from, _ := s.ends(toServer)
	end := min(at+size, len(from.said))
	flags := packet.ACK
	if end > at {
		flags |= packet.PSH
	}
	return s.segment(toServer, at, flags, string(from.said[at:end])).Append(nil)
}

// fly takes packets on their way to the gateway, in the order that is drawn.
func (s *storm) land(all bool) {
	for len(s.flying) > 0 {
		i := 0
		switch s.draw("way", 12) {
		case 0:
			i = s.draw("which", len(s.flying))
		case 1:
			if !all {
				return
			}
		case 2:
			s.take(slices.Clone(s.flying[0])) // twice
		case 3:
			s.wake() // some may come in meanwhile
			continue
		case 4:
			if !all { // it is lost
				s.flying = s.flying[1:]
				continue
			}
		}
		pkt := s.flying[i]
		s.flying = slices.Delete(s.flying, i, i+1)
		s.take(pkt)
	}
}

// attack sends a packet that no lawful end sends.
func (s *storm) attack(toServer bool) {
	from, to := s.ends(toServer)
	at := max(0, len(from.said)-s.draw("back", 60))
	seg := s.segment(toServer, at, packet.ACK|packet.PSH, s.words("forged", "", "x", "QUIT\r\n", "RSET\r\n", "250 Ok\r\n", "STARTTLS\r\n", "354 Go\r\n", "\r\n.\r\n", "NOOP\r\nNOOP\r\n", "220 Go\r\n"))
	switch s.draw("attack", 9) {
	case 0:
		seg.Flags |= packet.URG
	case 1:
		seg.Ack += uint32(s.draw("ack", 400)) - 200
	case 2:
		seg.Flags = packet.SYN
		seg.Seq--
	case 3:
		seg.Flags |= packet.FIN
	case 4:
		seg.Flags = packet.RST
		seg.Seq += uint32(s.draw("seq", 3))
	case 5:
		seg.HasTimestamp = false
	case 6:
		seg.Seq += uint32(s.draw("seq", 3000))
	case 7:
		seg.Window = 0
	}
	b := seg.Append(nil)
	if s.draw("spoiled", 10) == 0 {
		b[len(b)-1] ^= 1
	}
	_ = to
	s.flying = append(s.flying, b)
}

// speak has an end say its turn, with all that may happen on its way. It returns whether it
// arrived.
func (s *storm) speak(turn turn) bool {
	from, to := s.ends(turn.toServer)
	begin := len(from.said)
	from.said = append(from.said, turn.octets...)
	longest := rapid.SampledFrom([]int{2000, 1400, 80, 9}).Draw(s.t, "longest")
	if len(turn.octets) > 2000 {
		longest = 1400
	}
	for at := begin; at < len(from.said); {
		n := longest
		if s.draw("cut", 3) == 0 {
			n = 1 + s.draw("size", longest)
		}
		s.flying = append(s.flying, s.of(turn.toServer, at, n))
		at += n
		if s.hostile && s.draw("attacked", 12) == 0 {
			s.attack(turn.toServer || s.draw("side", 4) == 0)
		}
		if s.draw("lands", 2) == 0 {
			s.land(false)
		}
		if s.draw("acknowledged", 2) == 0 {
			s.flying = append(s.flying, s.of(!turn.toServer, len(to.said), 0))
		}
	}
	s.land(true)
	for try := 0; s.got(turn.toServer) < len(from.said); try++ {
		if to.hasRST || from.hasRST || try == 12 {
			return false
		}
		if try > 0 || s.draw("waits", 2) == 0 {
			s.rest(250e6)
		}
		for at := s.got(turn.toServer); at < len(from.said); at += 1400 {
			s.take(s.of(turn.toServer, at, 1400))
		}
		s.take(s.of(!turn.toServer, len(to.said), 0))
	}
	s.take(s.of(!turn.toServer, len(to.said), 0))
	return true
}

// weather plays one or two connections to a server, and returns how many packets of them have
// passed.

func weather(t *rapid.T, hostile bool) (passed int) {
	g := newGate(t, policy.Config{})
	g.taken = func(_ []byte, p bool) {
		if p {
			passed++
		}
	}
	for range 1 + rapid.IntRange(0, 1).Draw(t, "again") {
		s := &storm{link: g.newLink(), t: t, hostile: hostile}
		g.Meanwhile = func() {
			for len(s.flying) > 0 && s.draw("meanwhile", 4) == 0 {
				pkt := s.flying[0]
				s.flying = s.flying[1:]
				s.take(pkt)
			}
		}
		if s.draw("quick", 2) == 0 {
			s.open()
		} else { // nobody wakes up meanwhile
			s.stamps = true
			for _, toServer := range []bool{true, false} {
				if !s.take(s.syn(toServer, synOptions)) {
					s.wake()
				}
			}
			s.acknowledge(true)
		}
		turns := []turn{{false, "220 mail.example.test ESMTP\r\n"}, {true, "EHLO client.example.test\r\n"},
			{false, s.words("offer", "250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "250-a\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 STARTTLS\r\n")}}
		for range s.draw("transactions", 3) {
			turns = append(turns, s.transaction()...)
		}
		turns = append(turns, turn{true, "QUIT\r\n"}, turn{false, "221 Bye\r\n"})
		for _, turn := range turns {
			if !s.speak(turn) {
				if !hostile && !s.client.hasRST {
					t.Fatalf("%q did not arrive", turn.octets)
				}
				break
			}
		}
		for _, toServer := range []bool{true, false} {
			from, _ := s.ends(toServer)
			s.take(s.segment(toServer, len(from.said), packet.ACK|packet.FIN, "").Append(nil))
			if s.draw("wakes", 2) == 0 {
				s.wake()
			}
		}
		g.Meanwhile = nil
		g.wantNoDifference()
		if len(g.pipeline.Stats().Lost) > 0 { // by policy, of what was forged; it passes unread
			return passed
		}
		s.wantOneTruth()
	}
	return passed
}

func TestInspectionNeverDiffersWithTheKernelAboutALawfulDialogue(t *testing.T) {
	total := 0
	rapid.Check(t, func(t *rapid.T) { total += weather(t, false) })
	if total < 1000 {
		t.Errorf("only %d packets have passed", total)
	}
}

func TestInspectionNeverDiffersWithTheKernelAboutAHostileOne(t *testing.T) {
	total := 0
	rapid.Check(t, func(t *rapid.T) { total += weather(t, true) })
	if total < 1000 {
		t.Errorf("only %d packets have passed", total)
	}
}
