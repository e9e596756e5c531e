package inspect_test

import (
	"strings"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
)

// A record that proves TLS may be in a packet that its receiver discards (an old
// timestamp, a last hop). The session must not be let go until it has arrived: else what
// is then sent in its place passes unread.
func TestAProofOfTLSThatDiedBehindUsLetsNothingPassUnread(t *testing.T) {
	w := newWire(t, setup{})
	w.s("220 mx.example ESMTP\r\n")
	w.c("EHLO client.example\r\n")
	w.s("250-mx.example\r\n250 STARTTLS\r\n")
	w.c("STARTTLS\r\n")
	w.s("220 Go\r\n")
	clientHello, serverHello := hellos(t)
	w.c(clientHello)
	w.s(serverHello + "\x17\x03\x03\x00\x05hello")
	w.heard(w.server)

	const proof = "\x17\x03\x03\x00\x04" // of the record its header is read
	w.now += 1e6
	dies := w.segment(w.client, w.client.snd, packet.ACK|packet.PSH, []byte(proof+"dies"))
	w.p.Inspect(&dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: 1 << 20, Time: w.now, Data: dies}}})

	w.c("MAIL FROM:<>\r\n") // at the same place
	if got := w.heard(w.server); !strings.HasPrefix(got, proof) {
		t.Errorf("read %q, the server heard %q", proof, got)
	}
	w.wantFindings("overlap-conflict correct")
}
