package inspect_test

import (
	"net/netip"
	"strings"
	"testing"

	"keepword/inspect"
	"keepword/inspect/packet"
	"keepword/inspect/verdict"
)

// While somebody has deleted the nftables table, packets go by.
func TestAConnectionGoesOnWhenMuchOfItWentByUnseen(t *testing.T) {
	w := newWire(t, setup{})
	upToOffer(w)
	w.c("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	w.s("250 ok\r\n250 ok\r\n354 go\r\n")
	w.c("text\r\n")
	const unseen = 10 << 20
	w.client.snd += unseen
	more := strings.Repeat("more text\r\n", 100)
	if k := w.send(w.client, packet.ACK, []byte(more)); k != verdict.Drop {
		t.Errorf("far ahead, and nothing tells that what is between has arrived: %v, want drop", k)
	}
	w.server.rcv += unseen
	w.send(w.server, packet.ACK, nil)
	if k := w.send(w.client, packet.ACK, []byte(more)); k != verdict.Accept {
		t.Errorf("the server has what is between: %v, want accept", k)
	}
	w.wantFindings("out-of-window log", "gap log")
}

func TestAFullTableLetsNoSessionGoForOneThatWillNotBeRead(t *testing.T) {
	w := newWire(t, setup{limits: inspect.Limits{Flows: 1, Memory: 16 << 20, FlowMemory: 256 << 10}})
	upToOffer(w)
	known := w.client.addr
	w.client.addr = netip.AddrPortFrom(known.Addr(), known.Port()+1)
	if k := w.put(w.segment(w.client, 77, packet.ACK, []byte("from the middle\r\n"))); k != verdict.Accept {
		t.Errorf("a packet of an unknown connection: %v, want accept", k)
	}
	w.client.addr = known
	if len(w.rec.flows) != 0 {
		t.Fatal("the session that was read had to leave")
	}
	w.c("STARTTLS\r\n")
	w.s("250 OK\r\n")
	w.wantFindings("answered-for-server correct")
}

// Where a full queue lets packets pass, a server answers what was never seen here.
func TestAReplyToWhatWasNotSeenEndsNoConnection(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *wire)
		unseen string
		reply  string
	}{
		"the end of mail data":        {intoMailData, "\r\n.\r\n", "250 queued\r\n"},
		"the command behind STARTTLS": {refusedTLS, "EHLO client.example\r\n", "250 mx.example\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, setup{})
			c.before(w)
			w.heard(w.client)
			w.rec.findings = nil
			w.client.snd += uint32(len(c.unseen))
			w.server.rcv += uint32(len(c.unseen))
			w.s(c.reply)
			w.c("QUIT\r\n")
			w.wantHeard(w.client, c.reply)
			w.wantFindings("surplus-reply log", "gap log")
		})
	}
	t.Run("but an acknowledgement of nothing unseen excuses nothing", func(t *testing.T) {
		w := newWire(t, setup{})
		intoMailData(w)
		w.s("250 queued\r\n")
		w.wantFindings("smuggling-confirmed kill")
	})
	t.Run("nor one of the client's goodbye", func(t *testing.T) {
		w := newWire(t, setup{})
		intoMailData(w)
		w.send(w.client, packet.FIN|packet.ACK, nil)
		w.server.rcv++
		w.s("250 queued\r\n")
		w.wantFindings("smuggling-confirmed kill")
	})
}

// refusedTLS brings a session behind a refusal of STARTTLS.
func refusedTLS(w *wire) {
	upToOffer(w)
	w.c("STARTTLS\r\n")
	w.s("454 4.7.0 not now\r\n")
}
