package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/config"
	"keepword/cmd/keepword/internal/terminal"
)

// Exit codes, the same for every command.
const (
	exitDone   = 0
	exitFailed = 1 // the work failed or the input is bad
	exitUsage  = 2
)

// env is what a command may touch of the process that it runs in.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	args           []string
}

// terminal says whether stdout is one.
func (e *env) terminal() bool { return terminal.Is(e.stdout) }

// usageError is a wrong use of the command line.
type usageError struct{ error }

// Unwrap returns what was wrong.
func (e usageError) Unwrap() error { return e.error }

// failure is the error of a command that was used rightly. Every other error comes
// from the command line's parser.
type failure struct{ error }

// Unwrap returns what failed.
func (e failure) Unwrap() error { return e.error }

// errReported ends a command whose errors are on stderr already.
var errReported = errors.New("reported")

// execute runs the command that e.args name and returns its exit code.
func execute(ctx context.Context, e *env) int {
	root := newRoot(e)
	root.SetArgs(e.args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	err := root.ExecuteContext(ctx)
	var failed failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usageError{}) || !errors.As(err, &failed):
		fmt.Fprintf(e.stderr, "keepword: %s; keepword --help says more\n", oneLine(err))
		return exitUsage
	case !errors.Is(err, errReported):
		e.report(failed.error)
	}
	return exitFailed
}

// report prints err as one line. A fault of a configuration begins with its file, so
// that editors find the place.
func (e *env) report(err error) {
	prefix := "keepword: "
	if errors.As(err, &config.Errors{}) {
		prefix = ""
	}
	fmt.Fprintf(e.stderr, "%s%s\n", prefix, oneLine(err))
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// newRoot builds the tree of commands.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "keepword",
		Short:         "A firewall for SMTP that keeps the words of the dialogue whole",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("name a command")}
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
	}
	root.AddCommand(
		newRun(e), newCheck(e), newReplay(e),
		newStatus(e), newHistory(e), newExplain(e), newReload(e), newVersion(e),
	)
	return root
}

// command makes a subcommand of its use line ("name ARGS"), a line of help and its
// work. Errors of work are failures unless they are usage errors.
func command(use, short string, args cobra.PositionalArgs, work func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := work(cmd.Context(), args); err != nil {
				return failure{err}
			}
			return nil
		},
	}
}

// configFlag adds -c to cmd, and returns where its value will be.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "configuration `FILE` (default: built in)")
}

// load reads the configuration file, or returns the default one for no file.
func load(path string) (*config.Config, error) {
	if path == "" {
		return config.Default(), nil
	}
	return config.Load(path)
}
