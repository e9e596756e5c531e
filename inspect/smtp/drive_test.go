package smtp

import (
	"fmt"
	"strings"
	"testing"
)

// drive gives a Dialogue the octets of both directions as a session would: the
// client's that can't be read yet stay, and are read before the server's next reply.
type drive struct {
	d              Dialogue
	spare          Spare
	client, server []byte // not consumed yet
	atC, atS       int    // octets consumed
	events         []string
}

func newDrive() *drive {
	v := &drive{}
	v.d.Init()
	return v
}

// take gives octets of one end, in pieces of at most cut octets; 0: all at once.
func (v *drive) take(fromClient bool, octets []byte, cut int) {
	for len(octets) > 0 {
		n := len(octets)
		if cut > 0 {
			n = min(n, cut)
		}
		if fromClient {
			v.client = append(v.client, octets[:n]...)
		} else {
			v.server = append(v.server, octets[:n]...)
		}
		octets = octets[n:]
		for v.readClient() || v.readServer() {
		}
	}
}

func (v *drive) readClient() bool {
	n, ev := v.d.Client(v.client, &v.spare)
	if ev.Kind != ClientNone {
		start := ""
		if ev.Line != nil {
			start = fmt.Sprint(v.atC + ev.Start)
		}
		v.events = append(v.events, fmt.Sprintf("C %d %v flags=%d odd=%d %q %s-%d", ev.Kind, ev.Verb, ev.Flags, ev.Odd, ev.Line, start, v.atC+n))
		if ev.Kind == ClientSmuggling {
			v.events[len(v.events)-1] += " behind " + ev.Ending.String()
		}
	}
	v.atC += n
	v.client = v.client[n:]
	return n > 0
}

func (v *drive) readServer() bool {
	n, ev := v.d.Server(v.server, &v.spare)
	if ev.Kind != ServerNone {
		v.events = append(v.events, fmt.Sprintf("S %d to %v first=%v final=%v surplus=%v differs=%v odd=%d %q %q %d-%d",
			ev.Code, ev.To.Verb, ev.First, ev.Final, ev.Surplus, ev.Differs, ev.Odd, ev.Line, ev.Text, v.atS+ev.Start, v.atS+n))
	}
	v.atS += n
	v.server = v.server[n:]
	return n > 0
}

// play takes turns: each begins with C or S for who says it.
func (v *drive) play(cut int, turns ...string) {
	for _, t := range turns {
		v.take(t[0] == 'C', []byte(t[1:]), cut)
	}
}

// check fails where the Dialogue holds more than it may.
func (v *drive) check(t testing.TB) {
	t.Helper()
	if v.d.waiting.length > MaxPending {
		t.Fatalf("%d commands wait", v.d.waiting.length)
	}
	v.d.Release(&v.spare)
	if v.d.client.line != nil || v.d.server.line != nil || v.d.data != nil || len(v.spare.lines.free) > 2 {
		t.Fatalf("buffers are kept after Release, or %d were made for one dialogue", len(v.spare.lines.free))
	}
}

// wantEvents fails where got is not want.
func wantEvents(t testing.TB, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Fatalf("%s:\n%s\nwant\n%s", what, g, w)
	}
}

const (
	hello          = "S220 mx.example\r\n"
	ehlo           = "CEHLO a\r\n"
	offersChunking = "S250-mx\r\n250-SIZE\r\n250 Chunking\r\n"
	said250        = "S250 ok\r\n"
)

// states are ways into each mode of a Dialogue.
var states = map[string][]string{
	"Greeting":     {},
	"Commands":     {hello, ehlo, offersChunking},
	"MailData":     {hello, "CDATA\r\n", "S354 go\r\n"},
	"Chunk":        {hello, ehlo, offersChunking, "CBDAT 20 LAST\r\n"},
	"AuthExchange": {hello, "CAUTH LOGIN\r\n", "S334 VXNlcm5hbWU6\r\n"},
	"Waiting":      {hello, "CDATA\r\n"},
	"Asked":        {hello, "CSTARTTLS\r\n"},
	"Pipelined":    {hello, "CMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"},
	"InReply":      {hello, "CEHLO a\r\n", "S250-mx\r\n250-ST"},
	"Surplus":      {hello, "S250-what\r\n"},
}
