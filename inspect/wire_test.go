package inspect_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keepword/dataplane"
	"keepword/inspect"
	"keepword/inspect/history"
	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/starttls"
	"keepword/inspect/verdict"
)

// What most dialogues say.
const (
	greeting = "220 mx.example ESMTP\r\n"
	ehlo     = "EHLO client.example\r\n"
	offers   = "250-mx.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
	message  = "MAIL FROM:<a@example>\r\n"
)

// recorder is a Sink that keeps what it is told.
type recorder struct {
	findings []inspect.FindingRecord
	flows    []inspect.FlowRecord
}

func (r *recorder) Finding(f *inspect.FindingRecord) { r.findings = append(r.findings, *f) }
func (r *recorder) FlowEnd(f *inspect.FlowRecord) {
	c := *f
	c.Steps, c.Said = slices.Clone(f.Steps), slices.Clone(f.Said)
	r.flows = append(r.flows, c)
}

func (r *recorder) ids() []string {
	var ids []string
	for _, f := range r.findings {
		ids = append(ids, f.Finding.String()+" "+f.Action.String())
	}
	return ids
}

// end is a TCP end that takes what a pipeline lets through, as a receiver would.
type end struct {
	addr     netip.AddrPort
	snd, rcv uint32 // SND.NXT, RCV.NXT
	got      []byte
	closed   bool // a FIN stood behind the last octet
	reset    bool
	ahead    map[uint32][]byte
}

// wire is one connection through a Pipeline.
type wire struct {
	t              rapid.TB // that of a test or of one of rapid's draws
	p              *inspect.Pipeline
	rec            *recorder
	client, server *end
	now            int64
	id             uint32
	waiting        map[uint32][]byte // held packets, as the kernel keeps them
	cut            int               // octets a segment, 0: all at once
	fins           int               // packets with a FIN that left
}

var version4 = [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.25:25")}
var version6 = [2]netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8:1::25]:25")}

type setup struct {
	policy  policy.Config
	passive bool
	cut     int
	ends    [2]netip.AddrPort
	isn     uint32
	limits  inspect.Limits
	history *history.History // nil: none
}

func newWire(t rapid.TB, c setup) *wire {
	t.Helper()
	if !c.ends[0].IsValid() {
		c.ends = version4
	}
	if c.limits.Flows == 0 {
		c.limits = inspect.Limits{Flows: 100, Memory: 16 << 20, FlowMemory: 256 << 10}
	}
	rec := &recorder{}
	config := inspect.Config{
		Policy: policy.New(c.policy), Ports: []uint16{25, 587}, Limits: c.limits,
		MemoryFull: inspect.WhenKill, Midstream: inspect.WhenPass, Passive: c.passive, Sink: rec, Account: 1 << 10,
	}
	if c.history != nil {
		config.History = c.history
	}
	w := &wire{
		t: t, rec: rec, cut: c.cut, now: 1e18, waiting: map[uint32][]byte{},
		client: &end{addr: c.ends[0], snd: c.isn + 1000, ahead: map[uint32][]byte{}},
		server: &end{addr: c.ends[1], snd: c.isn - 5, ahead: map[uint32][]byte{}},
		p:      inspect.New(config),
	}
	w.open()
	return w
}

func (w *wire) open() {
	w.client.rcv, w.server.rcv = w.server.snd+1, w.client.snd+1
	w.send(w.client, packet.SYN, nil)
	w.client.snd++
	w.send(w.server, packet.SYN|packet.ACK, nil)
	w.server.snd++
	w.send(w.client, packet.ACK, nil)
}

// another opens another connection of the same client, from its next port.
func (w *wire) another() {
	from := netip.AddrPortFrom(w.client.addr.Addr(), w.client.addr.Port()+1)
	w.client = &end{addr: from, snd: w.client.snd + 1e6, ahead: map[uint32][]byte{}}
	w.server = &end{addr: w.server.addr, snd: w.server.snd + 1e6, ahead: map[uint32][]byte{}}
	w.rec.findings = nil
	w.open()
}

func (w *wire) peer(e *end) *end {
	if e == w.client {
		return w.server
	}
	return w.client
}

// segment builds a segment of from at seq.
func (w *wire) segment(from *end, seq uint32, flags packet.Flags, payload []byte) []byte {
	to := w.peer(from)
	s := packet.Segment{
		Version: 6, Src: from.addr.Addr().As16(), Dst: to.addr.Addr().As16(),
		SrcPort: from.addr.Port(), DstPort: to.addr.Port(),
		Seq: seq, Ack: from.rcv, Flags: flags, Window: 65535, HopLimit: 64, Payload: payload,
	}
	if from.addr.Addr().Is4() {
		s.Version = 4
	}
	if !flags.Has(packet.ACK) {
		s.Ack = 0
	}
	return s.Append(nil)
}

// put passes one packet through the pipeline and delivers what comes of it.
func (w *wire) put(pkt []byte) verdict.Kind {
	w.t.Helper()
	return w.inspect(pkt, w.deliver, w.deliver)
}

// inspect takes a packet through the pipeline, and calls self with it where it leaves, as
// it leaves, and others with the packets that leave before and behind it: held ones that
// are released, and keepword's own.
func (w *wire) inspect(pkt []byte, self, others func(pkt []byte)) verdict.Kind {
	w.t.Helper()
	w.id++
	original := slices.Clone(pkt)
	b := dataplane.Batch{Now: w.now, Packets: []dataplane.Packet{{ID: w.id, Time: w.now, Data: pkt}}}
	w.p.Inspect(&b)
	k := b.Packets[0].Verdict
	if k == verdict.Hold {
		w.waiting[w.id] = original
	}
	w.release(&b, others)
	switch k {
	case verdict.None:
		w.t.Fatal("a packet left inspection undecided")
	case verdict.Accept:
		self(original)
	case verdict.Replace:
		self(b.Packets[0].Data)
	}
	for _, inj := range b.Injected {
		others(inj)
	}
	return k
}

// release calls leave with the held packets that b releases.
func (w *wire) release(b *dataplane.Batch, leave func(pkt []byte)) {
	w.t.Helper()
	if what := w.p.Broken(); what != "" {
		w.t.Fatal(what)
	}
	for _, r := range b.Released {
		pkt, ok := w.waiting[r.ID]
		if !ok {
			w.t.Fatalf("packet %d was released but not held", r.ID)
		}
		delete(w.waiting, r.ID)
		switch r.Verdict {
		case verdict.Accept:
			leave(pkt)
		case verdict.Replace:
			leave(r.Data)
		}
	}
}

// wait lets time pass.
func (w *wire) wait(nanoseconds int64) {
	w.t.Helper()
	w.idle(nanoseconds, w.deliver)
}

// idle has the pipeline inspect nothing, later, and calls leave with what leaves.
func (w *wire) idle(nanoseconds int64, leave func(pkt []byte)) {
	w.t.Helper()
	w.now += nanoseconds
	b := dataplane.Batch{Now: w.now}
	w.p.Inspect(&b)
	w.release(&b, leave)
	for _, inj := range b.Injected {
		leave(inj)
	}
}

// deliver is the receiver: it takes what is next, keeps what is ahead, and believes
// the first copy of an octet.
func (w *wire) deliver(pkt []byte) {
	var v packet.View
	if c := packet.Parse(pkt, &v); c != packet.OK || !v.ChecksumOK() {
		w.t.Fatalf("a packet left that a receiver would discard: %v, checksum %v", c, v.ChecksumOK())
	}
	to := w.client
	if v.DstPort == w.server.addr.Port() {
		to = w.server
	}
	if v.Flags.Has(packet.RST) {
		if v.Seq == to.rcv || to.closed && v.Seq == to.rcv+1 {
			to.reset = true
		}
		return
	}
	if v.Flags.Has(packet.FIN) {
		w.fins++
	}
	if v.Flags.Has(packet.SYN) || to.reset {
		return
	}
	if len(v.Payload) > 0 {
		to.ahead[v.Seq] = slices.Clone(v.Payload)
	}
	for more := true; more; {
		more = false
		for seq, b := range to.ahead {
			if d := int32(to.rcv - seq); d >= 0 {
				delete(to.ahead, seq)
				if int(d) < len(b) {
					to.got = append(to.got, b[d:]...)
					to.rcv += uint32(len(b)) - uint32(d)
					more = true
				}
			}
		}
	}
	to.closed = to.closed || v.Flags.Has(packet.FIN) && v.Seq+uint32(len(v.Payload)) == to.rcv
}

func (w *wire) send(from *end, flags packet.Flags, payload []byte) verdict.Kind {
	w.now += 1e6
	return w.put(w.segment(from, from.snd, flags, payload))
}

// say sends octets in segments of w.cut octets, each acknowledged as far as it
// arrived.
func (w *wire) say(from *end, text string) {
	for b := []byte(text); len(b) > 0; {
		n := len(b)
		if w.cut > 0 {
			n = min(n, w.cut)
		}
		w.send(from, packet.ACK|packet.PSH, b[:n])
		from.snd += uint32(n)
		b = b[n:]
		if !w.peer(from).reset {
			w.send(w.peer(from), packet.ACK, nil)
		}
	}
}

func (w *wire) c(text string) { w.t.Helper(); w.say(w.client, text) }
func (w *wire) s(text string) { w.t.Helper(); w.say(w.server, text) }

func (w *wire) close() {
	w.send(w.client, packet.FIN|packet.ACK, nil)
	w.client.snd++
	w.server.rcv++
	w.send(w.server, packet.FIN|packet.ACK, nil)
	w.server.snd++
	w.client.rcv++
	w.send(w.client, packet.ACK, nil)
}

// heard takes what e has received since the last call.
func (w *wire) heard(e *end) string {
	got := string(e.got)
	e.got = nil
	return got
}

func (w *wire) wantHeard(e *end, want string) {
	w.t.Helper()
	if got := w.heard(e); got != want {
		w.t.Errorf("heard\n %q, want\n %q", got, want)
	}
}

func (w *wire) wantFindings(want ...string) {
	w.t.Helper()
	if got := w.rec.ids(); !slices.Equal(got, want) {
		w.t.Errorf("findings %q, want %q", got, want)
	}
}

func (w *wire) wantOutcome(want starttls.Outcome, steps ...starttls.Step) {
	w.t.Helper()
	w.p.Flush(w.now)
	if len(w.rec.flows) != 1 {
		w.t.Fatalf("%d flow records, want 1", len(w.rec.flows))
	}
	f := w.rec.flows[0]
	if f.Outcome != want {
		w.t.Errorf("outcome %v, want %v", f.Outcome, want)
	}
	if !slices.Equal(f.Steps, steps) {
		w.t.Errorf("steps %v, want %v", f.Steps, steps)
	}
}

// everyCut runs a test with whole segments, one octet a segment and some between, over
// IPv4 and IPv6, and across the wrap of the sequence numbers.
func everyCut(t *testing.T, c setup, f func(t *testing.T, w *wire)) {
	t.Helper()
	for _, cut := range []int{0, 1, 2, 3, 7, 13} {
		for i, ends := range [][2]netip.AddrPort{version4, version6} {
			for _, isn := range []uint32{1, 1<<32 - 1010} {
				t.Run(fmt.Sprintf("cut=%d,ip=%d,isn=%d", cut, 4+2*i, isn), func(t *testing.T) {
					c.cut, c.ends, c.isn = cut, ends, isn
					f(t, newWire(t, c))
				})
			}
		}
	}
}

// hellos are a real ClientHello and ServerHello.
func hellos(t testing.TB) (client, server string) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(a, &tls.Config{ServerName: "mx.example", InsecureSkipVerify: true}).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	io.ReadFull(b, body)
	b.Close()
	sh := []byte{2, 0, 0, 38 + 6, 3, 3}
	sh = append(sh, make([]byte, 32)...)
	sh = append(sh, 0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4)
	sh[3] = byte(len(sh) - 4)
	rec := append([]byte{22, 3, 3, 0, byte(len(sh))}, sh...)
	return string(head) + string(body), string(rec)
}
