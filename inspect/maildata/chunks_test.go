package maildata

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// smugglings returns where a scanner reports smuggling, the octets cut in pieces.
func smugglings(s *Scanner, text []byte, cut int) (at []int) {
	done := 0
	for len(text) > 0 {
		piece := text[:min(cut, len(text))]
		text = text[len(piece):]
		for len(piece) > 0 {
			n, ev := s.Scan(piece)
			done += n
			piece = piece[n:]
			switch ev.Kind {
			case Smuggling:
				at = append(at, done)
			case EndOfData:
				return at
			}
		}
	}
	return at
}

func TestChunksAreReadAsDataButForItsEnd(t *testing.T) {
	word := rapid.SampledFrom([]string{"\r", "\n", "\r\n", ".", "\x00", "x", "RSET", "MAIL FROM:<a>", "\r\n.\r", "\n.\n"})
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for _, w := range rapid.SliceOfN(word, 0, 40).Draw(t, "text") {
			text = append(text, w...)
		}
		var data, chunks Scanner
		data.Init()
		chunks.InitChunks()
		cut := rapid.IntRange(1, 9).Draw(t, "cut")
		want, got := smugglings(&data, text, 1<<20), smugglings(&chunks, text, cut)
		if i := bytes.Index(append([]byte("\r\n"), text...), []byte(endOfData)); i >= 0 {
			// Behind what would be the end there is more; before it all is the same.
			got = got[:min(len(got), len(want))]
		}
		if len(got) != len(want) {
			t.Fatalf("%q: in chunks at %v, in data at %v", text, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%q: in chunks at %v, in data at %v", text, got, want)
			}
		}
	})
}

func TestCRLFdotCRLFInChunksEndsNothingAndHidesNothing(t *testing.T) {
	for text, want := range map[string]int{
		"\r\n.\r\nRSET\r\n":                    0,
		"\r\n.\rRSET\r\n":                      1,
		"\n.\n\r\n.\r\nMAIL FROM:<a@b>\r\n":    1,
		".\r\nRSET\r\n":                        0,
		"x\r\n.\r\n.\nMAIL FROM:<a@b>\r\n":     1,
		"\r\r\n.\r\nRSET\r\n":                  0,
		"\r\n.\r\n.\r\n.\r\nMAIL FROM:<a>\r\n": 0,
	} {
		for cut := 1; cut < 9; cut++ {
			var s Scanner
			s.InitChunks()
			if got := smugglings(&s, []byte(text), cut); len(got) != want {
				t.Errorf("%q cut in %d: smuggling at %v", text, cut, got)
			}
		}
	}
}
