package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/control"
)

func newReload(e *env) *cobra.Command {
	var path *string
	cmd := command("reload", "Make the running daemon read its configuration again", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		socket, err := controlSocket(*path)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		if err := control.AskReload(ctx, socket); err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, "reloaded")
		return err
	})
	path = configFlag(cmd)
	return cmd
}
