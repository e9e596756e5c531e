package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(e *env) *cobra.Command {
	return command("version", "Print the version", cobra.NoArgs, func(context.Context, []string) error {
		_, err := fmt.Fprintf(e.stdout, "keepword %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	})
}

// version is the module's version as the go command stamped it: a tag, a revision
// that stands for one, or "(devel)" where the sources are under no version control.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
