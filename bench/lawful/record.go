package main

import (
	"context"
	"io"
)

var sessions []int

func recordAll(ctx context.Context, dir string, list []int, out io.Writer) error { return nil }
