package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"registry.local/images/tools/storage"
)

// resume brings back what is needed of what a run put aside that didn't come to its end: clients may miss
// it until then.
func resume(ctx context.Context, store *storage.Store, s settings, log *slog.Logger) error {
	unfinished, err := lastUnfinished(ctx, store)
	if err != nil || unfinished == "" || s.dryRun {
		return err
	}
	log.Warn("a run didn't come to its end: looking at what it put aside", "run", unfinished)
	s.options.finish = true
	err = once(ctx, s, log)
	if other := (storage.LockedError{}); errors.As(err, &other) { // which does it as well
		return nil
	}
	return err
}

// retry calls job until it succeeds, ten times at most, after longer and longer pauses.
func retry(ctx context.Context, pause time.Duration, job func(context.Context) error) {
	for range 10 {
		if storage.Pause(ctx, pause); ctx.Err() != nil || job(ctx) == nil {
			return
		}
		pause = min(2*pause, 10*time.Minute)
	}
}

// keepTime lets the storage's clock count where this node's differs: by it, what is being pushed would look
// old.
func keepTime(ctx context.Context, store *storage.Store, log *slog.Logger) error {
	ahead, err := storage.RegistryLock(store).Ahead(ctx)
	if err != nil || ahead == 0 {
		return err
	}
	log.Warn("this node's clock isn't that of the storage, which counts", "ahead", ahead.String())
	own := store.Now
	store.Now = func() time.Time { return own().Add(ahead) }
	return nil
}
