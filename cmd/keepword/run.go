package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newRun(e *env) *cobra.Command {
	var path *string
	cmd := command("run [-c FILE]", "Inspect this host's mail traffic, in the foreground", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return run(ctx, e, *path)
	})
	path = configFlag(cmd)
	return cmd
}
