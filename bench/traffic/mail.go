// Package traffic makes what benchmarks send: mail data of several kinds, the first flights
// of real TLS handshakes, and the segments that carry them, always the same.
package traffic

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
)

// Chance is seeded, so that every run has the same traffic.
func Chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// TextMail returns n octets of lines of words, as prose is wrapped: at most 76 octets a
// line, a full stop now and then, and here and there a line that begins with a dot,
// which its sender has doubled (RFC 5321 §4.5.2).
func TextMail(n int) []byte {
	random := Chance(1)
	var b bytes.Buffer
	for b.Len() < n {
		if random.IntN(40) == 0 {
			b.WriteString("..")
		}
		for line := 0; line < 60; {
			word := 2 + random.IntN(9)
			for range word {
				b.WriteByte('a' + byte(random.IntN(26)))
			}
			if random.IntN(9) == 0 {
				b.WriteByte('.')
			}
			b.WriteByte(' ')
			line += word + 2
		}
		b.Truncate(b.Len() - 1)
		b.WriteString("\r\n")
	}
	return b.Bytes()[:n]
}

// Base64Mail returns n octets of an attachment in base64 (RFC 2045 §6.8).
func Base64Mail(n int) []byte {
	random := Chance(2)
	var b bytes.Buffer
	for b.Len() < n {
		var raw [57]byte
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(raw[:]) + "\r\n")
	}
	return b.Bytes()[:n]
}
