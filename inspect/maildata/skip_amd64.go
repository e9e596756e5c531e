package maildata

import "golang.org/x/sys/cpu"

// wide says that the processor has what passBlocks uses. Tests switch it off.
var wide = cpu.X86.HasAVX2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// block is how many octets passBlocks takes at a time.
const block = 64

// skip is described in skip.go.
func skip(b []byte, lastLF, limit int, breaks bool) (n, last int) {
	if !wide || len(b) < block {
		return skipPortable(b, 0, lastLF, limit, breaks)
	}
	mask := uint64(0)
	if breaks {
		mask = ^mask
	}
	if n, last = passBlocks(b, lastLF, limit, mask); n == len(b) {
		return n, last
	}
	return skipPortable(b, n, last, limit, breaks)
}

// passBlocks passes over blocks of b, which has at least one, and over what is left
// behind the last, as long as skip would not stop in them. n is the beginning of the block
// in which it does, or len(b). Breaks is 0 or all ones.
//
//go:noescape
func passBlocks(b []byte, lastLF, limit int, breaks uint64) (n, last int)
