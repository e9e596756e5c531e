package flow

import "testing"

// Connections whose hashes are equal are told apart by their keys, each end and each port
// of them.
func TestAFlowIsNotTakenForAnotherOfTheSameHash(t *testing.T) {
	const hash = 77
	for i, a := range ends {
		for _, b := range ends[i+1:] {
			var known Key
			known.Set(view(a, b))
			table := NewTable[int](8)
			e := table.Insert(&known, hash, 1)
			for j, c := range ends {
				for _, d := range ends[j+1:] {
					var k Key
					k.Set(view(c, d))
					if got := table.Find(&k, hash); (got == e) != (k == known) {
						t.Errorf("%v-%v is known: %v-%v found %v", a, b, c, d, got != nil)
					}
					if e.Is(&k) != (k == known) {
						t.Errorf("the entry of %v-%v is that of %v-%v: %v", a, b, c, d, e.Is(&k))
					}
				}
			}
		}
	}
}

// The tag in the index spares a search the entries of other hashes.
func TestAnEntryOfAnotherTagIsNotLookedAt(t *testing.T) {
	const hash, other = 77, 77 | 1<<63 // of one place in the index
	table := NewTable[int](8)
	k := key(1)
	e := table.Insert(&k, hash, 1)
	if table.Begin(hash) != table.Begin(other) {
		t.Fatal("the searches begin at different places")
	}
	if table.Approach(hash) != e || table.Approach(other) != nil {
		t.Error("the entry of another tag is approached")
	}
	if table.Find(&k, hash) != e || table.Find(&k, other) != nil {
		t.Error("the entry of another tag is compared")
	}
}
