package seqnum

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestOrderHoldsAcrossTheWrap(t *testing.T) {
	tests := []struct {
		v, w Value
		less bool
		diff int32
	}{
		{0, 0, false, 0},
		{0, 1, true, -1},
		{1, 0, false, 1},
		{math.MaxUint32, 0, true, -1},
		{0, math.MaxUint32, false, 1},
		{math.MaxUint32 - 9, 10, true, -20},
		{0, 1<<31 - 1, true, -(1<<31 - 1)},
		{1 << 31, math.MaxUint32, true, -(1<<31 - 1)},
		{1<<31 + 5, 1<<31 - 5, false, 10},
	}
	for _, c := range tests {
		if got := c.v.Less(c.w); got != c.less {
			t.Errorf("%d.Less(%d) = %v", c.v, c.w, got)
		}
		if got := c.v.LessEq(c.w); got != (c.less || c.v == c.w) {
			t.Errorf("%d.LessEq(%d) = %v", c.v, c.w, got)
		}
		if got := c.v.Sub(c.w); got != c.diff {
			t.Errorf("%d.Sub(%d) = %d, want %d", c.v, c.w, got, c.diff)
		}
		later, earlier := c.v, c.w
		if c.less {
			later, earlier = c.w, c.v
		}
		if c.v.Max(c.w) != later || c.v.Min(c.w) != earlier {
			t.Errorf("Max and Min of %d and %d are %d and %d", c.v, c.w, c.v.Max(c.w), c.v.Min(c.w))
		}
	}
}

func TestAddAndSubUndoEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Value(rapid.Uint32().Draw(t, "v"))
		n := rapid.Int32().Draw(t, "n")
		w := v.Add(int(n))
		if w.Sub(v) != n {
			t.Fatalf("%d.Add(%d).Sub(%d) = %d", v, n, v, w.Sub(v))
		}
		if w.Add(-int(n)) != v {
			t.Fatalf("%d.Add(%d).Add(%d) = %d", v, n, -n, w.Add(-int(n)))
		}
		if n != math.MinInt32 && v.Less(w) != (n > 0) {
			t.Fatalf("%d.Less(%d) = %v, though %d apart", v, w, v.Less(w), n)
		}
	})
}

func TestAWindowHoldsItsOctetsAndNoOthers(t *testing.T) {
	for _, first := range []Value{0, 1000, 1<<31 - 2, math.MaxUint32 - 2} {
		for i := -3; i < 8; i++ {
			want := i >= 0 && i < 5
			if got := first.Add(i).InWindow(first, 5); got != want {
				t.Errorf("octet %d of the window of 5 from %d: in = %v", i, first, got)
			}
		}
		if first.InWindow(first, 0) {
			t.Errorf("an empty window from %d holds its first octet", first)
		}
	}
}
