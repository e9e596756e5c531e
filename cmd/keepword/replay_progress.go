package main

import (
	"io/fs"
	"os"
	"os/signal"
	"syscall"

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

// eraseWhenStopped takes the bar off the terminal before a signal ends the process, which
// then ends as if nothing had caught it. The function that it returns lets go of the signals.
func eraseWhenStopped(bar *progress.Bar) (release func()) {
	if bar == nil {
		return func() {}
	}
	signals, released := make(chan os.Signal, 1), make(chan struct{})
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) { // as under nohup, which is to stay so
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			bar.Close()
			signal.Reset(s)
			syscall.Kill(os.Getpid(), s.(syscall.Signal))
		case <-released:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(released)
	}
}
