package broken

import (
	"context"
	"io"
	"time"
)

// Cut says in which TCP segments octets leave. The zero value leaves that to the
// kernel.
type Cut struct {
	// Sizes are the lengths of the segments in octets, in order; the last one is
	// repeated until all is sent. {1} is one octet a segment; {3, 1 << 20} is three
	// octets and then the rest.
	Sizes []int
	// Pause is the time between two segments, and 1 ms where it is zero: the kernel
	// joins small writes that follow each other too closely.
	Pause time.Duration
}

// defaultPause is Cut.Pause where that is zero.
const defaultPause = time.Millisecond

// send writes p to w in the segments of c.
func (c Cut) send(ctx context.Context, w io.Writer, p []byte) error {
	pause := c.Pause
	setDefault(&pause, defaultPause)
	for i := 0; len(p) > 0; i++ {
		if i > 0 && !rest(ctx, pause) {
			return ctx.Err()
		}
		size := len(p)
		if len(c.Sizes) > 0 {
			// A size below one would never come to an end.
			size = min(size, max(1, c.Sizes[min(i, len(c.Sizes)-1)]))
		}
		if _, err := w.Write(p[:size]); err != nil {
			return err
		}
		p = p[size:]
	}
	return nil
}
