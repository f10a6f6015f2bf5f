package command

import (
	"log/slog"
	"time"
)

// Ending is how a run ended, by the names that `make status` reads.
type Ending struct {
	Ended       time.Time `json:"ended"`
	Seconds     float64   `json:"seconds"`
	Error       string    `json:"error,omitempty"`
	Interrupted bool      `json:"interrupted,omitempty"`
}

// With returns it as it is logged, with what else a program reports.
func (e Ending) With(more ...slog.Attr) slog.Value {
	return slog.GroupValue(append([]slog.Attr{
		slog.String("ended", e.Ended.Format(time.RFC3339)),
		slog.Float64("seconds", e.Seconds),
		slog.String("error", e.Error),
		slog.Bool("interrupted", e.Interrupted),
	}, more...)...)
}
