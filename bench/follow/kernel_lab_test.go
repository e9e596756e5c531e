//go:build lab

package follow

import (
	"net/netip"
	"testing"

	"keepword/dataplane"
	"keepword/inspect/packet"
)

func TestProbe(t *testing.T) {
	k, err := NewKernel(0, 25)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, s := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:25")
	f := k.Follower()
	b := dataplane.Batch{}
	f.Fill(&b, 10)
	seg := func(toServer bool, flags packet.Flags, seq, ack uint32, text string) {
		t.Helper()
		x := packet.Segment{Flags: flags, Seq: seq, Ack: ack, Window: 1000, Payload: []byte(text)}
		x.Src, x.Dst = c.Addr().As16(), s.Addr().As16()
		x.SrcPort, x.DstPort = c.Port(), s.Port()
		x.Version = 4
		if !toServer {
			x.Src, x.Dst, x.SrcPort, x.DstPort = x.Dst, x.Src, x.DstPort, x.SrcPort
		}
		passed, _, err := k.Decide(x.Append(nil))
		n, _ := k.Counts()
		t.Log(passed, err, text, n)
	}
	seg(true, packet.SYN, 99, 0, "RCPT TO:<a@b.c>\r\n")
	seg(false, packet.SYN|packet.ACK, 199, 100, "RCPT TO:<a@b.c>\r\n")
	f.Grant([]dataplane.Grant{{Kind: dataplane.GrantFollow, Client: c, Server: s, Seen: 2, Next: [2]uint32{100, 200}}})
	seg(true, packet.ACK|packet.PSH, 100, 200, "NOOP\r\n")
	seg(false, packet.ACK|packet.PSH, 200, 119, "RCPT TO:<a@b.c>\r\n")
}
