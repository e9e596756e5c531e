// Command keepword is a firewall for SMTP on a Linux gateway: it stands in the path
// of the dialogue and sees to it that no word of it is broken, above all STARTTLS.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), &env{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		args:   os.Args[1:],
	}))
}
