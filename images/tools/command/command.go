// Package command has what the programs for a registry's storage share on their command lines.
package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of the programs.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2
	Interrupted = 130
)

// Context ends with the first signal, which ends a program at a safe point; another one ends it at once.
func Context() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx
}

// Log returns the log in a format: json or text.
func Log(format string, out io.Writer) (*slog.Logger, error) {
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(out, nil)), nil
	case "text":
		return slog.New(slog.NewTextHandler(out, nil)), nil
	default:
		return nil, fmt.Errorf("--format %q: write json or text", format)
	}
}

// Positional takes the arguments in front of the flags, at most so many.
func Positional(arguments []string, most int) (positional, rest []string) {
	for len(positional) < most && len(arguments) > 0 && arguments[0] != "" && arguments[0][0] != '-' {
		positional, arguments = append(positional, arguments[0]), arguments[1:]
	}
	return positional, arguments
}

// ExitCode logs an error, and returns the exit code for it. Once ctx has ended, whatever a driver calls
// an error is its end.
func ExitCode(ctx context.Context, err error, log *slog.Logger) int {
	switch {
	case err != nil && ctx.Err() != nil:
		log.Warn("interrupted", "error", err.Error())
		return Interrupted
	case err != nil:
		log.Error(err.Error())
		return Failed
	}
	return Done
}

// Main runs a program and ends with its exit code.
func Main(program func(ctx context.Context, arguments []string, stdout, stderr io.Writer) int) {
	os.Exit(program(Context(), os.Args[1:], os.Stdout, os.Stderr))
}
