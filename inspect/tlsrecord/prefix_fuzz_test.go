package tlsrecord

import "testing"

// FuzzPrefix: octets that begin with a ClientHello may be one however few of them have
// come, and octets that can't be one stay so however many follow.
func FuzzPrefix(f *testing.F) {
	f.Add(record(typeHandshake, clientHello(names("a"))))
	f.Add([]byte("\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10\x00\x00\x2fcccccccccccccccc"))
	f.Add([]byte("EHLO client.example\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		may := true
		for n := range min(len(b), 64) + 1 {
			if n == 0 {
				continue
			}
			now := MayBeClientHello(b[:n])
			if now && !may {
				t.Fatalf("%d octets can't be a ClientHello, %d may be: % x", n-1, n, b[:n])
			}
			may = now
		}
		if len(b) > headerLen && b[0] == typeHandshake && b[headerLen] != messageClientHello {
			return // the parser passes over a message before the hello; no client sends one
		}
		var p Parser
		if _, ev := p.Parse(b); ev == ClientHello && !may {
			t.Fatalf("a ClientHello of which the first octets can't be one: % x", b[:min(len(b), 64)])
		}
	})
}
