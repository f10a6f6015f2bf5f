package command

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// socket is where a schedule of a program answers its health check: a name without a file, of this
// container.
func socket(program string) string { return "@" + program }

// Answer lets whoever connects know that the program runs, until ctx ends.
func Answer(ctx context.Context, program string, log *slog.Logger) {
	listener, err := net.Listen("unix", socket(program))
	if err != nil {
		log.Warn("health checks can't be answered", "error", err.Error())
		return
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
}

// Healthy returns an error when no schedule of the program runs here.
func Healthy(program string) error {
	connection, err := net.DialTimeout("unix", socket(program), 2*time.Second)
	if err != nil {
		return err
	}
	return connection.Close()
}
