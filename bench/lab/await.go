package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// poll is the pause between two looks at something that will change soon.
const poll = 50 * time.Millisecond

// stop is an error after which there is nothing more to wait for.
type stop struct{ error }

// await calls done until it says yes, the limit is over, or done returns a stop.
// Other errors of done are told only if they were the last word. what names the
// thing that is awaited.
func await(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if final, ok := errors.AsType[stop](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("waited for %s in vain: %w", what, err)
			}
			return fmt.Errorf("waited for %s in vain", what)
		case <-time.After(poll):
		}
	}
}
