package inspect_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/packet"
	"keepword/inspect/policy"
	"keepword/inspect/verdict"
)

// witness sees every packet that leaves a wire's pipeline, and fails the test where an
// octet leaves other than it left first in the same place. NUL may stand for what has
// been acknowledged.
type witness struct {
	*wire
	left  [2]map[uint32]byte // by sequence number, to the client and to the server
	acked [2]uint32          // what each of them has acknowledged
}

func newWitness(t rapid.TB, c setup) *witness {
	w := &witness{wire: newWire(t, c)}
	for i, e := range []*end{w.client, w.server} {
		w.left[i], w.acked[i] = map[uint32]byte{}, e.rcv
	}
	return w
}

func index(toServer bool) int {
	if toServer {
		return 1
	}
	return 0
}

// pass takes a packet through the pipeline. lost says that what leaves in its place
// does not arrive.
func (w *witness) pass(pkt []byte, lost bool) verdict.Kind {
	w.t.Helper()
	w.now += 1e6
	return w.inspect(pkt, func(pkt []byte) { w.leave(pkt, lost) }, func(pkt []byte) { w.leave(pkt, false) })
}

func (w *witness) leave(pkt []byte, lost bool) {
	w.t.Helper()
	var v packet.View
	packet.Parse(pkt, &v)
	to := index(v.DstPort == w.server.addr.Port())
	for i, c := range v.Payload {
		at := v.Seq + uint32(i)
		old := int32(w.acked[to]-at) > 0
		if first, known := w.left[to][at]; known && c != first && !(old && c == 0) {
			w.t.Fatalf("octet %d left as %q and then as %q", at, first, c)
		} else if !known {
			w.left[to][at] = c
		}
	}
	if from := 1 - to; v.Flags.Has(packet.ACK) && int32(v.Ack-w.acked[from]) > 0 {
		w.acked[from] = v.Ack
	}
	if !lost {
		w.deliver(pkt)
	}
}

// sendAs passes text, which begins at seq, in segments of size octets. lost says which
// of them do not arrive, nil: none.
func (w *witness) sendAs(from *end, seq uint32, text []byte, size int, lost func(n int) bool) {
	w.t.Helper()
	for n := 0; len(text) > 0; n++ {
		k := min(size, len(text))
		w.pass(w.segment(from, seq, packet.ACK, text[:k]), lost != nil && lost(n))
		seq += uint32(k)
		text = text[k:]
	}
}

// forge returns text with every n-th octet changed.
func forge(text []byte, n int) []byte {
	b := bytes.Clone(text)
	for i := n / 2; i < len(b); i += n {
		b[i] ^= 0x20
	}
	return b
}

func bothVersions(t *testing.T, f func(t *testing.T, ends [2]netip.AddrPort)) {
	for i, ends := range [][2]netip.AddrPort{version4, version6} {
		t.Run(fmt.Sprintf("IPv%d", 4+2*i), func(t *testing.T) { f(t, ends) })
	}
}

// upToData brings a session to where the client's next octets are mail data.
func upToData(w *wire) {
	upToOffer(w)
	w.c("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n")
	w.s("250 ok\r\n250 ok\r\n354 go\r\n")
	w.heard(w.client)
	w.heard(w.server)
}

// One segment contradicts all that is known at once, wherever the sequence numbers
// wrap: what was acknowledged leaves without content, what was delivered or waits
// behind the hole as it was first, and what is new as it is.
func TestOnePolicyIsForOctetsAcknowledgedDeliveredAndQueued(t *testing.T) {
	const line = 8 // octets
	acked, delivered, unknown, queued := "NOOP 1\r\n", "NOOP 2\r\n", "XXXXXX\r\n", "NOOP 4\r\n"
	for name, open := range map[string]func(w *wire){"commands": upToOffer, "mail data": upToData} {
		t.Run(name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
				probe := newWire(t, setup{ends: ends})
				open(probe)
				for wrap := range uint32(4*line + 2) { // octets before the wrap
					w := newWitness(t, setup{ends: ends, isn: -wrap - probe.client.snd})
					open(w.wire)
					at := w.client.snd
					if at != -wrap {
						t.Fatalf("the wrap is at %d, want %d", -at, wrap)
					}
					w.pass(w.segment(w.client, at, packet.ACK, []byte(acked)), false)
					w.pass(w.segment(w.server, w.server.snd, packet.ACK, nil), false)
					w.pass(w.segment(w.client, at+line, packet.ACK, []byte(delivered)), true) // it dies behind us
					w.pass(w.segment(w.client, at+3*line, packet.ACK, []byte(queued)), false)
					forged := bytes.Repeat([]byte("XXXXXX\r\n"), 4)
					w.pass(w.segment(w.client, at, packet.ACK, forged), false)
					w.wantHeard(w.server, acked+delivered+unknown+queued)
					w.wantFindings("overlap-conflict correct")
					again := w.segment(w.client, at, packet.ACK, slices.Clone(forged))
					w.pass(again, false) // once more, now that nothing is missing
					var v packet.View
					packet.Parse(again, &v)
					if want := strings.Repeat("\x00", line) + delivered + unknown + queued; string(v.Payload) != want {
						t.Fatalf("wrap after %d octets: left %q, want %q", wrap, v.Payload, want)
					}
					if len(w.waiting) > 0 {
						t.Fatalf("%d packets are still held", len(w.waiting))
					}
				}
			})
		})
	}
}

// longest is what TCP's segmentation puts in one packet of ours; the MSS is that of
// Ethernet with timestamps.
const (
	longest = 60_000
	mss     = 1448
)

// recut is a direction's octets that come twice, cut in two ways.
type recut struct {
	name       string
	config     policy.Config
	open       func(w *wire)
	fromClient bool
	text       []byte
	never      string // what edits keep from the receiver
}

// padded makes n octets of the lines that line returns, and of the last one.
func padded(n int, last string, line func(i int) string) []byte {
	var b []byte
	for i := 0; len(b)+len(line(i))+len(last) <= n; i++ {
		b = append(b, line(i)...)
	}
	fill := n - len(b) - len(last)
	return append(append(b[:len(b)-2], strings.Repeat(".", fill)+"\r\n"...), last...)
}

var recuts = []recut{
	{"mail data", policy.Config{}, upToData, true,
		padded(longest, "the last line\r\n", func(i int) string { return fmt.Sprintf("line %05d\r\n", i) }), ""},
	{"commands of which one is refused", policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}}, upToOffer, true,
		padded(longest, "STARTTLS\r\n", func(i int) string {
			return "RCPT TO:<" + strings.Repeat("a", 300) + fmt.Sprintf("%05d@example>\r\n", i)
		}), "STARTTLS"},
	{"a reply from which an offer is taken", policy.Config{Servers: []policy.Server{{StartTLS: policy.Hide}}},
		func(w *wire) { w.s(greeting); w.c(ehlo); w.heard(w.client) }, false,
		padded(longest, "250 STARTTLS\r\n", func(i int) string {
			if i%100 == 50 {
				return "250-STARTTLS\r\n"
			}
			return fmt.Sprintf("250-X-%05d %s\r\n", i, strings.Repeat("p", 60))
		}), "STARTTLS"},
}

// sender returns the end that speaks.
func (r *recut) sender(w *wire) *end {
	if r.fromClient {
		return w.client
	}
	return w.server
}

// heardAs is what the receiver hears of one sending that nothing disturbs.
func (r *recut) heardAs(t *testing.T, c setup, size int) string {
	w := newWitness(t, c)
	r.open(w.wire)
	w.sendAs(r.sender(w.wire), r.sender(w.wire).snd, bytes.Clone(r.text), size, nil)
	heard := w.heard(w.peer(r.sender(w.wire)))
	if len(heard) != len(r.text) || r.never != "" && strings.Contains(heard, r.never) || r.never == "" && heard != string(r.text) {
		t.Fatalf("the undisturbed sending was heard as %d octets of %d, %q among them: %v", len(heard), len(r.text), r.never, strings.Contains(heard, r.never))
	}
	return heard
}

// A GSO packet comes again as segments, or segments as a GSO packet, with other octets:
// the receiver hears those of the first sending, edits included, whichever of the first
// packets arrived.
func TestOtherOctetsInAnotherCutAreThoseOfTheFirstSending(t *testing.T) {
	losses := map[string]func(n int) bool{
		"all of the first are lost":       func(int) bool { return true },
		"every third of the first is":     func(n int) bool { return n%3 == 0 },
		"the first of the first is":       func(n int) bool { return n == 0 },
		"none is, and all come once more": nil,
	}
	for _, r := range recuts {
		for _, sizes := range [][2]int{{longest, mss}, {mss, longest}, {longest, longest}, {mss, 997}} {
			t.Run(fmt.Sprintf("%s/%d then %d", r.name, sizes[0], sizes[1]), func(t *testing.T) {
				bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
					c := setup{policy: r.config, ends: ends, isn: 1<<32 - longest/2} // the wrap is in the middle
					want := r.heardAs(t, c, sizes[0])
					for name, lost := range losses {
						w := newWitness(t, c)
						r.open(w.wire)
						from := r.sender(w.wire)
						w.sendAs(from, from.snd, bytes.Clone(r.text), sizes[0], lost)
						w.sendAs(from, from.snd, forge(r.text, 97), sizes[1], nil)
						if got := w.heard(w.peer(from)); got != want {
							t.Errorf("%s: heard otherwise from octet %d on", name, differs(got, want))
						}
						if ids := w.rec.ids(); !slices.Contains(ids, "overlap-conflict correct") {
							t.Errorf("%s: findings %q", name, ids)
						}
					}
				})
			})
		}
	}
}

// differs returns the first place where two strings differ.
func differs(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// The same while the first octets are missing, and all behind them waits or has gone
// ahead: the second sending fills the hole with its own octets, and only the hole.
func TestASecondSendingInAnotherCutFillsTheHoleAndAltersNothingElse(t *testing.T) {
	const hole = 10
	for _, r := range recuts[:2] {
		for _, sizes := range [][2]int{{longest, mss}, {mss, longest}} {
			t.Run(fmt.Sprintf("%s/%d then %d", r.name, sizes[0], sizes[1]), func(t *testing.T) {
				bothVersions(t, func(t *testing.T, ends [2]netip.AddrPort) {
					c := setup{policy: r.config, ends: ends, isn: 1<<32 - longest/2}
					want := r.heardAs(t, c, sizes[0])
					w := newWitness(t, c)
					r.open(w.wire)
					from := w.client
					w.sendAs(from, from.snd+hole, bytes.Clone(r.text[hole:]), sizes[0], nil)
					second := append(bytes.Clone(r.text[:hole]), forge(r.text[hole:], 97)...)
					w.sendAs(from, from.snd, second, sizes[1], nil)
					if got := w.heard(w.server); got != want {
						t.Errorf("heard otherwise from octet %d on", differs(got, want))
					}
					w.wait(11e9)
					if len(w.waiting) > 0 {
						t.Errorf("%d packets are still held", len(w.waiting))
					}
				})
			})
		}
	}
}
