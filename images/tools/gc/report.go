package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"registry.local/images/tools/command"
	"registry.local/images/tools/storage"
)

// reportFile says how the last run ended, whoever began it.
const reportFile = storage.Trash + "/last.json"

// report is how a run ended.
type report struct {
	command.Ending
	BytesAside   int64 `json:"bytes_aside"`
	BytesRemoved int64 `json:"bytes_removed"`
}

// LogValue returns the report as it is logged.
func (r report) LogValue() slog.Value {
	return r.With(
		slog.Int64("bytes_aside", r.BytesAside), slog.Int64("bytes_removed", r.BytesRemoved),
	)
}

// writeReport keeps in the storage how a run ended; that it can't is a line in the log alone.
func writeReport(ctx context.Context, c *collector, failure error) {
	r := report{
		Ending: command.Ending{
			Ended: c.store.Now().UTC().Truncate(time.Second), Seconds: c.summary.duration.Seconds(),
			Interrupted: c.summary.interrupted,
		},
		BytesAside: c.summary.goneBytes, BytesRemoved: c.summary.removedBytes,
	}
	if failure != nil {
		r.Error = failure.Error()
	}
	content, err := json.Marshal(r)
	if err == nil {
		err = c.store.PutContent(context.WithoutCancel(ctx), reportFile, content)
	}
	if err != nil {
		c.log.Warn("how it ended can't be noted", "error", err.Error())
	}
}

// readReport returns how the last run ended, and false when none has, yet.
func readReport(ctx context.Context, s *storage.Store) (report, bool, error) {
	var r report
	content, err := s.GetContent(ctx, reportFile)
	if storage.Missing(err) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	return r, json.Unmarshal(content, &r) == nil, nil
}

// lastUnfinished returns the newest run that put content aside if it was killed, interrupted or failed, ""
// otherwise.
func lastUnfinished(ctx context.Context, s *storage.Store) (string, error) {
	names, err := runs(ctx, s)
	if err != nil || len(names) == 0 {
		return "", err
	}
	last := names[len(names)-1]
	began, _ := time.Parse(runFormat, last)
	run, ok, err := readReport(ctx, s)
	if err != nil || (ok && !run.Ended.Before(began) && run.Error == "" && !run.Interrupted) {
		return "", err
	}
	found := ""
	err = s.Entries(ctx, storage.Trash+"/"+last, "", func(storage.Stored) { found = last })
	return found, err
}
