//go:build lab

package follow

import (
	"testing"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
)

func TestAPlainSessionPassesFromTheReplyToEHLOOn(t *testing.T) {
	g := newGate(t, policy.Config{})
	l := g.newLink()
	if l.open() != [3]bool{} {
		t.Error("a packet of a server that nobody knows has passed")
	}
	l.greet()
	for _, said := range []struct {
		toServer bool
		octets   string
	}{
		{true, "MAIL FROM:<a@example.test>\r\n"}, {false, "250 2.1.0 Ok\r\n"},
		{true, "RCPT TO:<b@example.test>\r\n"}, {false, "250 2.1.5 Ok\r\n"},
		{true, "DATA\r\n"}, {false, "354 Go ahead\r\n"},
		{true, "Subject: none\r\n\r\n..two dots\r\n"}, {true, "a line\r\n.\r\n"}, {false, "250 2.0.0 Ok\r\n"},
		{true, "MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"},
		{false, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n"},
		{true, "a line\r\n.\r\n"}, {false, "250 2.0.0 Ok\r\n"},
		{true, "QUIT\r\n"}, {false, "221 2.0.0 Bye\r\n"},
	} {
		if !l.say(said.toServer, said.octets) {
			t.Errorf("%q came up", said.octets)
		}
	}
	if !l.send(l.segment(false, len(l.server.said), packet.ACK|packet.FIN, "")) ||
		!l.send(l.segment(true, len(l.client.said), packet.ACK|packet.FIN, "")) ||
		!l.send(&packet.Segment{Version: 4, Src: l.server.addr.Addr().As16(), Dst: l.client.addr.Addr().As16(), SrcPort: 25, DstPort: l.client.addr.Port(),
			Seq: l.server.first + uint32(len(l.server.said)) + 1, Ack: l.client.first + uint32(len(l.client.said)) + 1, Flags: packet.ACK, Window: 65535, HasTimestamp: true}) {
		t.Error("a goodbye came up")
	}
	g.wantNoDifference()
	l.wantOneTruth()
	if len(g.ended) != 1 {
		t.Fatalf("%d sessions have ended", len(g.ended))
	}
	r := g.ended[0]
	if got, want := r.ToServer.Packets, uint64(l.server.packets); got != want {
		t.Errorf("%d packets to the server, want %d", got, want)
	}
	if got, want := r.ToServer.Bytes, uint64(l.server.octets); got != want {
		t.Errorf("%d octets to the server, want %d", got, want)
	}
	if got, want := r.ToClient.Packets, uint64(l.client.packets); got != want {
		t.Errorf("%d packets to the client, want %d", got, want)
	}
	if got, want := r.ToClient.Bytes, uint64(l.client.octets); got != want {
		t.Errorf("%d octets to the client, want %d", got, want)
	}
}
