package flow

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"keepword/inspect/packet"
)

func view(src, dst netip.AddrPort) *packet.View {
	return &packet.View{Src: src.Addr().As16(), Dst: dst.Addr().As16(), SrcPort: src.Port(), DstPort: dst.Port()}
}

var ends = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.1:25"),
	netip.MustParseAddrPort("192.0.2.1:40000"),
	netip.MustParseAddrPort("198.51.100.7:25"),
	netip.MustParseAddrPort("[2001:db8::1]:25"),
	netip.MustParseAddrPort("[2001:db8::1]:40000"),
	netip.MustParseAddrPort("[2001:db8::2]:25"),
}

func TestBothDirectionsHaveOneKey(t *testing.T) {
	for _, a := range ends {
		for _, b := range ends {
			if a == b {
				continue
			}
			var there, back Key
			fromLow, backFromLow := there.Set(view(a, b)), back.Set(view(b, a))
			if there != back || fromLow == backFromLow {
				t.Errorf("%v and %v: keys equal %v, from the low end %v and %v", a, b, there == back, fromLow, backFromLow)
			}
			if got := there.End(fromLow); got != a {
				t.Errorf("the end that sent is %v, want %v", got, a)
			}
			if got := there.End(!fromLow); got != b {
				t.Errorf("the end that received is %v, want %v", got, b)
			}
		}
	}
}

func TestDifferentConnectionsHaveDifferentKeys(t *testing.T) {
	seen := map[Key][2]netip.AddrPort{}
	for i, a := range ends {
		for _, b := range ends[i+1:] {
			var k Key
			k.Set(view(a, b))
			if other, ok := seen[k]; ok {
				t.Errorf("%v-%v has the key of %v", a, b, other)
			}
			seen[k] = [2]netip.AddrPort{a, b}
		}
	}
}

// key makes the n-th of many keys.
func key(n int) (k Key) {
	k.Set(view(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 40000), ends[0]))
	return k
}

// find and insert are Find and Insert with the key's hash.
func find[T any](t *Table[T], k *Key) *Entry[T] { return t.Find(k, t.Hash(k)) }

func insert[T any](t *Table[T], k *Key, now int64) *Entry[T] { return t.Insert(k, t.Hash(k), now) }

// known is a flow in the model: an entry, and when it was touched among all.
type known struct {
	entry   *Entry[int]
	class   Class
	touched int64
}

func TestATableIsAMapWithAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 3, 8, 40}).Draw(t, "limit")
		table := NewTable[int](limit)
		model := map[Key]*known{}
		var now int64
		pick := func(t *rapid.T) Key { return key(rapid.IntRange(0, limit+2).Draw(t, "key")) }
		oldest := func(c Class) (k *known) {
			for _, f := range model {
				if f.class == c && (k == nil || f.touched < k.touched) {
					k = f
				}
			}
			return k
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				k := pick(t)
				if model[k] != nil || table.Full() {
					t.Skip("there already, or full")
				}
				now++
				e := insert(table, &k, now)
				for _, f := range model {
					if f.entry == e {
						t.Fatal("an entry in use was given again")
					}
				}
				e.Value = int(now)
				model[k] = &known{e, Embryonic, now}
			},
			"remove": func(t *rapid.T) {
				k := pick(t)
				if model[k] == nil {
					t.Skip("not there")
				}
				slot := model[k].entry.Slot()
				if !model[k].entry.Is(&k) {
					t.Fatal("an entry is not its own key's")
				}
				table.Remove(model[k].entry)
				if model[k].entry.Is(&k) {
					t.Fatal("a removed entry is still its key's")
				}
				delete(model, k)
				if table.Slotted(slot) != nil {
					t.Fatal("a removed entry is found by its slot")
				}
			},
			"touch": func(t *rapid.T) {
				k := pick(t)
				if model[k] == nil {
					t.Skip("not there")
				}
				now += rapid.SampledFrom([]int64{1, Grain / 2, Grain}).Draw(t, "later")
				c := Class(rapid.IntRange(0, int(classes)-1).Draw(t, "class"))
				table.Touch(model[k].entry, now, c)
				if f := model[k]; f.class != c || now-f.touched >= Grain {
					f.class, f.touched = c, now
				}
			},
			"remove all of a class": func(t *rapid.T) {
				c := Class(rapid.IntRange(0, int(classes)-1).Draw(t, "class"))
				table.Each(func(e *Entry[int]) {
					if model[e.Key].class == c {
						table.Remove(e)
						delete(model, e.Key)
					}
				})
			},
			"": func(t *rapid.T) {
				for n := range limit + 3 {
					k := key(n)
					e, want := find(table, &k), model[k]
					if first := table.Approach(table.Hash(&k)); want != nil && (first == nil || table.Begin(table.Hash(&k)) == 0) {
						t.Fatalf("a search for key %d ends before it", n)
					}
					switch {
					case (e != nil) != (want != nil):
						t.Fatalf("key %d found %v, want %v", n, e != nil, want != nil)
					case e != nil && (e != want.entry || e.Key != k || e.Touched != want.touched || table.Slotted(e.Slot()) != e):
						t.Fatalf("key %d: another entry than was inserted", n)
					}
				}
				if table.Full() != (len(model) >= limit) {
					t.Fatalf("full %v with %d of %d", table.Full(), len(model), limit)
				}
				for c := range classes {
					count := 0
					for _, f := range model {
						if f.class == c {
							count++
						}
					}
					if table.Len(c) != count {
						t.Fatalf("class %d has %d, want %d", c, table.Len(c), count)
					}
					switch e, want := table.Oldest(c), oldest(c); {
					case (e != nil) != (want != nil):
						t.Fatalf("class %d: oldest %v, want %v", c, e != nil, want != nil)
					case e != nil && e != want.entry:
						t.Fatalf("class %d: oldest was touched at %d, want %d", c, e.Touched, want.touched)
					}
				}
			},
		})
		var inOrder []int64
		for e := table.Oldest(Open); e != nil; e = table.Oldest(Open) {
			inOrder = append(inOrder, e.Touched)
			table.Remove(e)
		}
		if !slices.IsSorted(inOrder) {
			t.Fatalf("open flows leave in the order %v", inOrder)
		}
	})
}

func TestATableOfManyChunksFindsAllAndReusesWhatIsFree(t *testing.T) {
	const many = 5 * chunk / 2
	table := NewTable[int](many)
	for round := range 3 {
		for n := range many {
			k := key(n + round)
			insert(table, &k, int64(n)).Value = n
		}
		if !table.Full() {
			t.Fatal("not full at its limit")
		}
		if len(table.chunks) != 3 {
			t.Fatalf("%d chunks in round %d: entries are not used again", len(table.chunks), round)
		}
		for n := range many {
			k := key(n + round)
			e := find(table, &k)
			if e == nil || e.Value != n {
				t.Fatalf("round %d: flow %d is not found", round, n)
			}
			if n%2 == 0 { // others must be found after gaps were closed
				table.Remove(e)
			}
		}
		for n := range many {
			k := key(n + round)
			if e := find(table, &k); (e != nil) != (n%2 == 1) {
				t.Fatalf("round %d: flow %d found: %v", round, n, e != nil)
			}
		}
		table.Each(table.Remove)
		if n := table.Len(Embryonic); n != 0 {
			t.Fatalf("%d flows are left", n)
		}
	}
}

func TestAKnownFlowIsFoundAndTouchedWithoutAllocation(t *testing.T) {
	table := NewTable[int](10)
	k := key(1)
	insert(table, &k, 1)
	if n := testing.AllocsPerRun(100, func() { table.Touch(find(table, &k), 2, Open) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
