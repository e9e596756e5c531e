package inspect_test

import (
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// A reset whose hop limit ends behind the gateway ends the session here and not at the
// server.
func TestWhatWaitsUnreadIsNotGivenAwayByAReset(t *testing.T) {
	for _, ends := range [...]setup{{}, {ends: version6}} {
		w := newWire(t, ends)
		w.s("220 server ESMTP\r\n")
		w.c("EHLO client\r\n")
		w.s("250 server\r\n")
		w.c("MAIL FROM:<a@b.example>\r\n")
		w.s("250 Ok\r\n")
		w.c("RCPT TO:<c@d.example>\r\n")
		w.s("250 Ok\r\n")
		w.c("DATA\r\n")
		w.heard(w.server)
		early := w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte("unread until the reply tells how to read it\r\n"))
		if k := w.put(early); k != verdict.Hold {
			t.Fatalf("octets behind DATA: %v, want hold", k)
		}
		w.put(w.segment(w.client, w.client.snd, packet.RST, nil))
		w.wantHeard(w.server, "")
		if len(w.waiting) > 0 {
			t.Errorf("%d packets were never decided", len(w.waiting))
		}
	}
}
