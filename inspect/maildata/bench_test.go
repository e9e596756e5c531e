package maildata

import (
	"bytes"
	"strings"
	"testing"
)

// BenchmarkScan reads 256 KiB of mail data in 64 KiB, as large packets bring them, with
// the vector code, with the portable code, and, as the baseline, by a search for the end
// alone, without a guard and without a limit of a line.
func BenchmarkScan(b *testing.B) {
	texts := map[string]string{
		"worst":            strings.Repeat(".\n.\n", 64<<10),
		"behind an ending": ".\n" + ordinary["text with bare LF"],
	}
	for name, text := range ordinary {
		texts[name] = text
	}
	for _, name := range []string{"base64", "text", "text with bare LF", "behind an ending", "worst"} {
		text := []byte(texts[name])
		for _, packet := range []int{64 << 10, 1448} {
			scan := func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					var s Scanner
					s.Init()
					each(text, packet, func(piece []byte) {
						for len(piece) > 0 {
							n, ev := s.Scan(piece)
							if ev.Kind == EndOfData {
								b.Fatal("these mail data have no end")
							}
							piece = piece[n:]
						}
					})
				}
			}
			prefix := name + "/packet=64K"
			if packet < 64<<10 {
				prefix = name + "/packet=1448"
			}
			b.Run(prefix+"/scan", scan)
			b.Run(prefix+"/portable", func(b *testing.B) { withoutWide(func() { scan(b) }) })
			b.Run(prefix+"/index", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					each(text, packet, func(piece []byte) {
						if bytes.Contains(piece, []byte(endOfData)) {
							b.Fatal("these mail data have no end")
						}
					})
				}
			})
		}
	}
}

// each gives f the text in pieces.
func each(text []byte, size int, f func(piece []byte)) {
	for len(text) > 0 {
		n := min(size, len(text))
		f(text[:n])
		text = text[n:]
	}
}
