package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"keepword/cmd/keepword/internal/control"
)

// answerTime bounds how long a command waits for the daemon's answer.
const answerTime = 10 * time.Second

func newStatus(e *env) *cobra.Command {
	var path *string
	var asJSON *bool
	cmd := command("status", "Show what the running daemon does", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		socket, err := controlSocket(*path)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		s, err := control.GetStatus(ctx, socket)
		if err != nil {
			return err
		}
		if *asJSON {
			enc := json.NewEncoder(e.stdout)
			enc.SetIndent("", "  ")
			return enc.Encode(s)
		}
		return s.WriteText(e.stdout, time.Now())
	})
	path = configFlag(cmd)
	asJSON = cmd.Flags().Bool("json", false, "print one JSON object")
	return cmd
}

// controlSocket returns the socket of the daemon that runs with the configuration
// file at path.
func controlSocket(path string) (string, error) {
	cfg, err := load(path)
	if err != nil {
		return "", err
	}
	if cfg.Control.Socket == "" {
		return "", errors.New("control.socket is switched off in the configuration: the daemon can't be asked")
	}
	return cfg.Control.Socket, nil
}
