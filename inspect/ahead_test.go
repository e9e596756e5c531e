package inspect_test

import (
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// In a chunk, octets may go ahead of a hole. Where they reach beyond the chunk, to what
// only a reply tells how to read, filling the hole would give that away.
func TestWhatWentAheadOfAHoleIsNotGivenAwayUnread(t *testing.T) {
	w := newWire(t, setup{})
	w.s("220 server ESMTP\r\n")
	w.c("EHLO client\r\n")
	w.s("250-server\r\n250 CHUNKING\r\n")
	w.c("MAIL FROM:<a@b.example>\r\n")
	w.s("250 Ok\r\n")
	w.c("RCPT TO:<c@d.example>\r\n")
	w.s("250 Ok\r\n")
	w.c("BDAT 10 LAST\r\n01")
	w.heard(w.server)
	at := w.client.snd
	ahead := w.segment(w.client, at+6, packet.ACK, []byte("89DATA\r\nunread"))
	if k := w.put(ahead); k != verdict.Accept {
		t.Fatalf("octets ahead of a hole in a chunk: %v, want accept", k)
	}
	if k := w.put(w.segment(w.client, at, packet.ACK, []byte("234567"))); k != verdict.Hold {
		t.Errorf("what fills the hole: %v, want hold", k)
	}
	w.put(w.segment(w.client, at-2, packet.ACK, []byte("01")))               // known already
	w.put(w.segment(w.client, at+2, packet.ACK|packet.PSH, []byte("4567")))  // in two parts
	w.put(w.segment(w.client, at, packet.ACK|packet.PSH, []byte("2345678"))) // and again
	w.wantHeard(w.server, "")
}
