package history

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// server returns the nth of many servers.
func server(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 25)
}

// records draws a record with few different values, so that two of them often agree in a
// part.
func records() *rapid.Generator[Record] {
	when := rapid.Int64Range(0, 3)
	small := rapid.Uint16Range(0, 2)
	return rapid.Custom(func(t *rapid.T) Record {
		return Record{
			First: when.Draw(t, "first"), Last: when.Draw(t, "last"),
			Offer:   Offer{when.Draw(t, "offer"), uint32(small.Draw(t, "others"))},
			Missing: when.Draw(t, "missing"),
			Refusal: Refusal{when.Draw(t, "refusal"), Kind(small.Draw(t, "kind")), int(small.Draw(t, "code")),
				rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "text")},
			Promise: Promise{
				Worked: when.Draw(t, "worked"), Version: small.Draw(t, "version"), Since: when.Draw(t, "since"),
				State: State(small.Draw(t, "state")), Tried: when.Draw(t, "tried"),
				Failures: small.Draw(t, "failures"), Lasting: small.Draw(t, "lasting"),
			},
		}
	})
}

func merged(rs ...Record) (r Record) {
	for i := range rs {
		r.Merge(&rs[i])
	}
	return r
}

func TestRecordsMergeToTheSameInWhateverOrderAndHoweverOften(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := records().Draw(t, "a"), records().Draw(t, "b"), records().Draw(t, "c")
		if merged(a) != a {
			t.Fatal("an empty record is not neutral")
		}
		if merged(a, a) != a {
			t.Fatal("not idempotent")
		}
		if merged(a, b) != merged(b, a) {
			t.Fatal("not commutative")
		}
		if merged(merged(a, b), c) != merged(a, merged(b, c)) {
			t.Fatal("not associative")
		}
	})
}

func TestAMergeTakesTheLaterOfEachPart(t *testing.T) {
	a := Record{First: 5, Last: 10, Offer: Offer{10, 1}, Missing: 3, Refusal: Refusal{Time: 4, Text: "old"}, Promise: Promise{Worked: 9, State: Closed}}
	b := Record{First: 4, Last: 9, Offer: Offer{8, 7}, Missing: 6, Refusal: Refusal{Time: 7, Text: "new"}, Promise: Promise{Worked: 2, State: Open, Failures: 9}}
	want := Record{First: 4, Last: 10, Offer: Offer{10, 1}, Missing: 6, Refusal: Refusal{Time: 7, Text: "new"}, Promise: Promise{Worked: 9, State: Closed}}
	if got := merged(a, b); got != want {
		t.Errorf("%+v", got)
	}
}

// Histories that exchange all they know come to the same, as long as there is room.
func TestHistoriesMergeToTheSameInWhateverOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[netip.AddrPort]Record {
			m := map[netip.AddrPort]Record{}
			for range rapid.IntRange(0, 6).Draw(t, "servers") {
				m[server(rapid.IntRange(0, 6).Draw(t, "server"))] = records().Draw(t, "record")
			}
			return m
		}), 1, 4).Draw(t, "known")
		order := rapid.Permutation(known).Draw(t, "order")
		a, b := New(Config{Servers: 10}), New(Config{Servers: 10})
		for i := range known {
			a.Merge(maps.All(known[i]))
			b.Merge(maps.All(order[i]))
			b.Merge(maps.All(order[0])) // again
		}
		if x, y := contents(a), contents(b); !maps.Equal(x, y) {
			t.Fatalf("%v\n%v", x, y)
		}
		checkOrder(t, a)
	})
}

func contents(h *History) map[netip.AddrPort]Record {
	m := map[netip.AddrPort]Record{}
	h.Each(func(s netip.AddrPort, r *Record) bool {
		m[s] = *r
		return true
	})
	return m
}

// checkOrder sees to it that the ring holds what the map holds, the one seen last first.
func checkOrder(t interface{ Fatalf(string, ...any) }, h *History) {
	n, last := 0, int64(1<<62)
	for e := h.ring.next; e != &h.ring; e = e.next {
		if h.servers[e.server] != e || e.next.prev != e || e.record.Last > last {
			t.Fatalf("the order is broken at %v, last seen %d behind %d", e.server, e.record.Last, last)
		}
		last = e.record.Last
		n++
	}
	if n != len(h.servers) {
		t.Fatalf("%d servers in order, %d known", n, len(h.servers))
	}
}

func TestTheBoundsHoldAndTheOneLongestUnseenGoesFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		h := New(Config{Servers: most})
		var seen []netip.AddrPort // the one longest unseen first
		look := func(s netip.AddrPort) {
			for i := range seen {
				if seen[i] == s {
					seen = append(seen[:i], seen[i+1:]...)
					break
				}
			}
			seen = append(seen, s)
			seen = seen[max(0, len(seen)-most):]
		}
		for now := range int64(rapid.IntRange(1, 60).Draw(t, "events")) {
			s := server(rapid.IntRange(0, 12).Draw(t, "server"))
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				h.Merge(maps.All(map[netip.AddrPort]Record{s: {First: start + now, Last: start + now}}))
				look(s)
			case 1:
				if h.Forget(s) {
					for i := range seen {
						if seen[i] == s {
							seen = append(seen[:i], seen[i+1:]...)
							break
						}
					}
				}
			case 2:
				takeChanges(h)
			default:
				h.Note(s, Seen{Kind: Offered, Time: start + now})
				look(s)
			}
			if h.Len() != len(seen) || len(h.changed) > 4*most+1 {
				t.Fatalf("%d servers, want %d; %d changes", h.Len(), len(seen), len(h.changed))
			}
			for _, s := range seen {
				if _, ok := h.Lookup(s); !ok {
					t.Fatalf("%v is forgotten, known should be %v", s, seen)
				}
			}
			checkOrder(t, h)
		}
	})
}

func TestAMergeOfTooMuchKeepsThoseSeenLast(t *testing.T) {
	h := New(Config{Servers: 100})
	h.Merge(func(yield func(netip.AddrPort, Record) bool) {
		for i := range 1000 {
			n := i * 7 % 1000 // in no order
			if !yield(server(n), Record{First: 1, Last: int64(n + 1)}) {
				return
			}
			if h.Len() > 201 || len(h.changed) > 402 {
				t.Fatalf("%d servers are kept meanwhile, %d changes", h.Len(), len(h.changed))
			}
		}
	})
	if h.Len() != 100 {
		t.Fatalf("%d servers", h.Len())
	}
	for n := 900; n < 1000; n++ {
		if _, ok := h.Lookup(server(n)); !ok {
			t.Errorf("%d is left out", n)
		}
	}
	checkOrder(t, h)
}

func TestFailedPairsAreBounded(t *testing.T) {
	h := aHistory()
	for i := range maxPairs + 10 {
		h.Failed(server(i).Addr(), aServer, start)
	}
	if len(h.failed.last) != maxPairs || len(h.failed.list) != maxPairs {
		t.Errorf("%d and %d pairs, want %d", len(h.failed.last), len(h.failed.list), maxPairs)
	}
	for i, want := range map[int]bool{0: false, 9: false, 10: true, maxPairs + 9: true} {
		if m, _ := h.Recall(server(i).Addr(), aServer, start, true); m.Failed != want {
			t.Errorf("pair %d: %v", i, m.Failed)
		}
	}
}

func TestAFailureIsHeldAgainstThePairForTwoHours(t *testing.T) {
	h := aHistory()
	h.Failed(aClient, aServer, start)
	for after, want := range map[int64]bool{0: true, FailureLapse - 1: true, FailureLapse: false} {
		if m, _ := h.Recall(aClient, aServer, start+after, true); m.Failed != want {
			t.Errorf("after %d: %v", after, m.Failed)
		}
	}
	if m, _ := h.Recall(aClient, server(1), start, true); m.Failed {
		t.Error("another server is blamed")
	}
	if m, _ := h.Recall(server(1).Addr(), aServer, start, true); m.Failed {
		t.Error("another client is blamed")
	}
}

func TestWhatAServerDidIsHeldUpToItForThirtyDays(t *testing.T) {
	h := aHistory()
	h.Note(aServer, Seen{Kind: Offered, Time: start})
	h.Note(aServer, Seen{Kind: Worked, Time: start, Version: 0x0303})
	for after, want := range map[int64]Memory{
		0:         {Offered: true, EHLO: true, Worked: true},
		Lapse - 1: {Offered: true, EHLO: true, Worked: true},
		Lapse:     {},
	} {
		if m, _ := h.Recall(aClient, aServer, start+after, true); m != want {
			t.Errorf("after %d: %+v", after, m)
		}
	}
	h.Note(aServer, Seen{Kind: Unoffered, Time: start + Lapse})
	if m, _ := h.Recall(aClient, aServer, start+Lapse, true); m != (Memory{EHLO: true}) {
		t.Errorf("EHLO without an offer: %+v", m)
	}
}

func TestARefusalIsKeptWithItsTextCut(t *testing.T) {
	h := aHistory()
	long := make([]byte, 3*MaxText)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	h.Note(aServer, Seen{Kind: Refused, Time: start, Code: 554, Text: long})
	long[0] = 'X' // lent for the call only
	r, ok := h.Lookup(aServer)
	if !ok || r.Refusal.Kind != Refused || r.Refusal.Code != 554 || len(r.Refusal.Text) != MaxText || r.Refusal.Text[0] != 'a' {
		t.Errorf("%+v", r.Refusal)
	}
}

func TestASessionWithAKnownServerAllocatesNothing(t *testing.T) {
	h := aHistory()
	text := []byte("5.7.0 Unable to initialize security subsystem")
	now := int64(start)
	session := func() {
		now += second
		h.Recall(aClient, aServer, now, true)
		for k := range kinds {
			h.Note(aServer, Seen{Kind: k, Time: now, Code: 554, Text: text, Version: 0x0304})
		}
		h.Failed(aClient, aServer, now)
		h.Lookup(aServer)
	}
	session()
	if n := testing.AllocsPerRun(100, session); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestChangesAreToldOnceAndMayBeTakenInParts(t *testing.T) {
	h := New(Config{Servers: 100})
	for i := range 10 {
		h.Note(server(i), Seen{Kind: Offered, Time: start})
	}
	h.Forget(server(3))
	got := map[netip.AddrPort]bool{}
	for range 10 { // three at a time
		n := 0
		h.Changes(func(s netip.AddrPort, r *Record) bool {
			if _, again := got[s]; again {
				t.Errorf("%v is told twice", s)
			}
			got[s] = r != nil
			n++
			return n < 3
		})
	}
	for i := range 10 {
		if known, told := got[server(i)]; !told || known != (i != 3) {
			t.Errorf("%d: told %v, known %v", i, told, known)
		}
	}
	if len(got) != 10 || len(takeChanges(h)) != 0 {
		t.Errorf("%d changes", len(got))
	}
}

// Whoever shows a long history lets go of its lock now and then: f may change h.
func TestServersMayComeAndGoWhileTheyAreListed(t *testing.T) {
	h := New(Config{Servers: 50})
	for i := range 50 {
		h.Note(server(i), Seen{Kind: Offered, Time: start})
	}
	times := map[netip.AddrPort]int{}
	next := 50
	h.Each(func(s netip.AddrPort, _ *Record) bool {
		times[s]++
		h.Note(server(next), Seen{Kind: Offered, Time: start + 1}) // one comes, the oldest goes
		next++
		return true
	})
	if len(times) == 0 {
		t.Error("nobody is listed")
	}
	for s, n := range times {
		if n != 1 {
			t.Errorf("%v is listed %d times", s, n)
		}
	}
	n := 0
	h.Each(func(netip.AddrPort, *Record) bool { n++; return n < 5 })
	if n != 5 {
		t.Errorf("listing went on for %d servers, want 5", n)
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for s := range states {
		if got, ok := ParseState(s.String()); !ok || got != s {
			t.Errorf("%v: %v", s, got)
		}
	}
	for k := range kinds {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%v: %v", k, got)
		}
	}
	if _, ok := ParseState("ajar"); ok {
		t.Error("a state that is none")
	}
	if _, ok := ParseKind("grumpy"); ok {
		t.Error("a kind that is none")
	}
}

// BenchmarkMerge is how long the packet path may wait for a merge of 1,000 records into a
// full history.
func BenchmarkMerge(b *testing.B) {
	const most, part = 100_000, 1_000
	h := New(Config{Servers: most})
	for i := range most {
		h.Note(server(i), Seen{Kind: Offered, Time: start + int64(i)})
	}
	for n := 0; b.Loop(); n++ {
		h.Merge(func(yield func(netip.AddrPort, Record) bool) {
			for i := range part {
				k := (n*part + i) * 7919 % (2 * most)
				if !yield(server(k), Record{First: start, Last: start + int64(k)}) {
					return
				}
			}
		})
	}
	if h.Len() != most {
		b.Fatal(fmt.Sprint(h.Len()))
	}
}
