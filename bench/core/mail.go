package main

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
)

// chance is seeded, so that every run has the same traffic.
func chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// textMail returns n octets of lines of words, as prose is wrapped: at most 76 octets a
// line, a full stop now and then, and here and there a line that begins with a dot,
// which its sender has doubled (RFC 5321 §4.5.2).
func textMail(n int) []byte {
	random := chance(1)
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

// base64Mail returns n octets of an attachment in base64 (RFC 2045 §6.8).
func base64Mail(n int) []byte {
	random := chance(2)
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
