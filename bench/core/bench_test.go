package main

import (
	"fmt"
	"testing"

	"keepword/bench/traffic"
)

// The work of the table's rows, as Go benchmarks: keepword and its baseline beside each
// other. Each times only what is handed packets, so that its figure is under a name of
// its own; ns/op would hold the making of the packets too.

// both runs a benchmark for keepword and for the baseline. work makes what is measured;
// its run returns the figure of n operations.
func both(b *testing.B, unit string, flows int, work func(s subject) (g *gateway, run func(n int) float64)) {
	for _, name := range []string{"keepword", "gopacket"} {
		var g *gateway
		var run func(int) float64
		b.Run(name, func(b *testing.B) {
			if g == nil { // else b.N was raised, and what is there is as good
				s := subject(newBaseline())
				if name == "keepword" {
					s = newKeepword(flows)
				}
				g, run = work(s)
				run(1)
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.ReportMetric(run(b.N), unit)
			b.ReportMetric(0, "ns/op")
			if err := g.check(g.octets); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSegment is a segment of mail data in order with its acknowledgement, 64
// connections in turn.
func BenchmarkSegment(b *testing.B) {
	for _, octets := range []int{1, 100, mss, 60000} {
		b.Run(fmt.Sprint(octets), func(b *testing.B) {
			both(b, "ns/pair", batchSize, func(s subject) (*gateway, func(int) float64) {
				w := newSegments(s, octets)
				return w.gateway, func(n int) float64 {
					segment, ack := w.run(n)
					return segment + ack
				}
			})
		})
	}
}

// BenchmarkDialogue is a STARTTLS session from greeting to ServerHello, and a whole one.
func BenchmarkDialogue(b *testing.B) {
	classic, modern := hellos(b)
	for name, h := range map[string]traffic.Hello{"classic": classic, "modern": modern} {
		for part, whole := range map[string]bool{"toServerHello": false, "whole": true} {
			b.Run(name+"/"+part, func(b *testing.B) {
				both(b, "ns/session", crowd, func(s subject) (*gateway, func(int) float64) {
					w := newDialogues(s, h, whole)
					return w.gateway, w.run
				})
			})
		}
	}
}

// BenchmarkCapture is a recording of mixed sessions, in order and not.
func BenchmarkCapture(b *testing.B) {
	_, modern := hellos(b)
	for name, disorder := range map[string]bool{"inOrder": false, "disordered": true} {
		r := record(recordedSession, modern, disorder)
		b.Run(name, func(b *testing.B) {
			both(b, "ns/packet", recordedSession, func(s subject) (*gateway, func(int) float64) {
				w := newReplays(s, r)
				return w.gateway, w.run
			})
		})
	}
}

// BenchmarkSpread is a packet on one of many connections, drawn at random.
func BenchmarkSpread(b *testing.B) {
	for _, flows := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(flows), func(b *testing.B) {
			both(b, "ns/packet", flows, func(s subject) (*gateway, func(int) float64) {
				w := newSpread(s, flows)
				return w.gateway, w.run
			})
		})
	}
}

// BenchmarkScan is mail data through the SMTP dialogue, and through bytes.Index.
func BenchmarkScan(b *testing.B) {
	for name, mail := range map[string][]byte{"base64": traffic.Base64Mail(scanned), "text": traffic.TextMail(scanned)} {
		for _, piece := range []int{mss, 60000} {
			s, err := newScan(mail, piece)
			if err != nil {
				b.Fatal(err)
			}
			for by, run := range map[string]func(int) (float64, error){"keepword": s.run, "bytes.Index": s.index} {
				b.Run(fmt.Sprintf("%s/%d/%s", name, piece, by), func(b *testing.B) {
					speed, err := run(b.N * piece)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(speed, "GB/s")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
