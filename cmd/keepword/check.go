package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/config"
)

func newCheck(e *env) *cobra.Command {
	var path *string
	cmd := command("check -c FILE", "Validate a configuration file", cobra.NoArgs, func(context.Context, []string) error {
		if *path == "" {
			return usageError{errors.New("check needs a file: keepword check -c FILE")}
		}
		return check(e, *path)
	})
	path = configFlag(cmd)
	return cmd
}

// check prints every fault of the file with its excerpt, or a summary of what it says.
func check(e *env, path string) error {
	cfg, err := config.Load(path)
	var faults config.Errors
	if errors.As(err, &faults) {
		for _, f := range faults {
			fmt.Fprintf(e.stderr, "%s\n%s", f, f.Excerpt())
		}
		return errReported
	} else if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: ok\n", path)
	fmt.Fprintf(e.stdout, "  mode %s, ports %s, hooks %s\n", cfg.Mode, list(cfg.Ports), list(cfg.Hooks))
	fmt.Fprintf(e.stdout, "  %s, %s\n", plural(len(cfg.Actions), "action set", "actions set"), plural(len(cfg.Servers), "server entry", "server entries"))
	return nil
}

// list joins values with commas.
func list[T any](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
