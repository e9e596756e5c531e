package smtp

import "testing"

func TestWhatIsSpareIsBounded(t *testing.T) {
	var s stack[int]
	for range maxSpare + 10 {
		v := new(int)
		if s.put(&v); v != nil {
			t.Fatal("who put it back still has it")
		}
	}
	if n := len(s.free); n != maxSpare {
		t.Errorf("%d values are spare, want %d", n, maxSpare)
	}
	var none *int
	s.free = nil
	if s.put(&none); len(s.free) != 0 {
		t.Error("nothing was put back, and kept")
	}
}
