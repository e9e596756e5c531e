package main

import (
	"context"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"keepword/cmd/keepword/internal/progress"
)

// size returns how many octets the inputs have together, or 0 where one does not say.
func size(e *env, paths []string) (total int64) {
	for _, path := range paths {
		info, err := stat(e, path)
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		total += info.Size()
	}
	return total
}

// regular says whether an input is a file that is there as a whole.
func regular(e *env, path string) bool {
	info, err := stat(e, path)
	return err == nil && info.Mode().IsRegular()
}

func stat(e *env, path string) (fs.FileInfo, error) {
	if path != "-" {
		return os.Stat(path)
	}
	if f, ok := e.stdin.(*os.File); ok {
		return f.Stat()
	}
	return nil, fs.ErrInvalid
}

// besideBar returns e with what it writes to a terminal put above the bar.
func besideBar(e *env, bar *progress.Bar) *env {
	above := *e
	above.stderr = bar.Above(e.stderr)
	if e.terminal() {
		above.stdout = bar.Above(e.stdout)
	}
	return &above
}

// lastWords is how long a program that writes to our pipe has for its last octets: Ctrl-C
// stops both, and tcpdump writes what it still holds then.
const lastWords = time.Second

// untilStopped returns a context that also ends a moment after the process is told to stop,
// so that the reading ends and what was found is told; bar goes at once. Told twice, the
// process dies. The function that it returns lets go of the signals.
func untilStopped(ctx context.Context, bar *progress.Bar) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) { // as under nohup, which is to stay so
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			bar.Close()
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(lastWords):
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
