package main

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// aliveSocket is where a schedule answers its health check: a name without a file, of this container.
var aliveSocket = "@registry-gc"

// answer lets whoever connects know that the process runs, until ctx ends.
func answer(ctx context.Context, log *slog.Logger) {
	listener, err := net.Listen("unix", aliveSocket)
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

// healthy returns an error when no schedule runs here.
func healthy() error {
	connection, err := net.DialTimeout("unix", aliveSocket, 2*time.Second)
	if err != nil {
		return err
	}
	return connection.Close()
}
