package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"registry.local/images/tools/storage"
)

const (
	runFormat     = "20060102T150405Z"
	progressEvery = 10 * time.Second
)

// retryEvery is how long after a failure the cache is flushed again.
var retryEvery = time.Second

// options of a collection.
type options struct {
	grace      time.Duration // what changed less than this ago stays
	trash      time.Duration // how long the trash keeps what a run put aside
	secondLook time.Duration // from a run's first look at what it did to the second
	dryRun     bool
	untagged   bool
	keep       storage.Digests // manifests that stay without a tag, and keep those that they have
	rules      []rule          // of retention: tags that they let go, go first
	tagsOnly   bool            // nothing but these tags goes
	finish     bool            // nothing goes: only what an earlier run left to do is done
}

// summary is what a run did, or would do.
type summary struct {
	run          string
	interrupted  bool
	tags         int // kept by rules of retention
	tagsGone     int
	repositories int
	manifests    int // kept
	blobs        int // kept
	young        int // blobs that nothing needs, kept for the time of grace
	gone         struct{ manifests, blobs, links int }
	goneBytes    int64
	back         int // entries brought back
	removed      int // blobs removed from the trash for good
	removedBytes int64
	duration     time.Duration
}

// LogValue returns the summary as it is logged.
func (s summary) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("run", s.run),
		slog.Bool("interrupted", s.interrupted),
		slog.Int("tags_kept", s.tags),
		slog.Int("tags_aside", s.tagsGone),
		slog.Int("repositories", s.repositories),
		slog.Int("manifests_kept", s.manifests),
		slog.Int("blobs_kept", s.blobs),
		slog.Int("blobs_young", s.young),
		slog.Int("manifests_aside", s.gone.manifests),
		slog.Int("blobs_aside", s.gone.blobs),
		slog.Int("links_aside", s.gone.links),
		slog.Int64("bytes_aside", s.goneBytes),
		slog.Int("brought_back", s.back),
		slog.Int("blobs_removed", s.removed),
		slog.Int64("bytes_removed", s.removedBytes),
		slog.Float64("seconds", s.duration.Seconds()),
	)
}

// collector cleans up a registry's storage.
type collector struct {
	store *storage.Store
	cache cache
	log   *slog.Logger
	opts  options

	marker  *marker
	summary summary
}

// run collects once. When ctx ends, it stops at a safe point and says so in the summary.
func (c *collector) run(ctx context.Context) (err error) {
	began := c.store.Now()
	c.marker = newMarker(c.store, c.opts.grace, c.log)
	c.summary = summary{run: began.UTC().Format(runFormat)}
	defer func() {
		if ctx.Err() != nil {
			if err != nil { // the end of ctx itself, in the words of the driver, or what it met
				c.log.Warn("interrupted", "error", err.Error())
			}
			err, c.summary.interrupted = nil, true
		}
		c.summary.duration = c.store.Now().Sub(began)
		if err == nil {
			c.log.Info("done", "dry_run", c.opts.dryRun, "tags_only", c.opts.tagsOnly, "summary", c.summary)
		}
	}()
	if c.opts.tagsOnly { // which no cache remembers
		return c.expire(ctx)
	}
	if !c.opts.dryRun {
		if err := c.cache.flush(ctx); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
	}
	if err := c.finish(ctx); err != nil || c.opts.finish {
		return err
	}
	if len(c.opts.rules) > 0 {
		if err := c.expire(ctx); err != nil {
			return err
		}
	}
	blobs, err := c.blobs(ctx) // before the marking: a blob that comes later is no candidate
	if err != nil {
		return err
	}
	candidates, err := c.candidates(ctx, blobs)
	if err != nil {
		return err
	}
	switch {
	case c.opts.dryRun:
		for _, s := range candidates {
			c.summary.count(s)
			c.log.Info("would go", "path", s.File(), "bytes", s.Size)
		}
		return nil
	case len(candidates) == 0:
		return nil
	}
	return c.sweep(ctx, candidates)
}

// finish does what an earlier run may have left to do, and empties the trash of what is old.
func (c *collector) finish(ctx context.Context) error {
	old, err := c.trash(ctx)
	if err != nil {
		return err
	}
	if !c.opts.dryRun {
		if len(old.entries) > 0 {
			if err := c.look(ctx, old); err != nil {
				return err
			}
		}
		if err := c.store.Delete(ctx, storage.Partial); err != nil && !storage.Missing(err) {
			return err
		}
	}
	return c.empty(ctx, old)
}

// sweep puts the candidates aside and then looks, twice, at what came of it.
func (c *collector) sweep(ctx context.Context, candidates []storage.Stored) error {
	var going summary
	for _, s := range candidates {
		going.count(s)
	}
	c.log.Info("putting aside", "manifests", going.gone.manifests, "blobs", going.gone.blobs,
		"links", going.gone.links, "bytes", going.goneBytes)
	failure := c.asideAll(ctx, candidates)
	// This much is done even when it is to end now.
	after := context.WithoutCancel(ctx)
	if err := c.flush(after); err != nil {
		// The registry takes what has gone for present, so that it must not be gone.
		_, undone := undo(after, c.store, c.summary.run)
		return errors.Join(failure, fmt.Errorf("this run is undone: %w", err), undone)
	}
	if err := c.lookAtAll(after); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil || ctx.Err() != nil {
		return failure
	}
	c.log.Info("put aside; looking again", "in", c.opts.secondLook.String())
	if storage.Pause(ctx, c.opts.secondLook); ctx.Err() != nil { // for requests that were under way
		return nil
	}
	if err := c.flush(after); err != nil {
		return err
	}
	return c.lookAtAll(after)
}

// flush empties the descriptor cache; it tries a few times.
func (c *collector) flush(ctx context.Context) (err error) {
	for range 5 {
		if err = c.cache.flush(ctx); err == nil {
			return nil
		}
		c.log.Warn("the cache can't be flushed, yet", "error", err.Error())
		time.Sleep(retryEvery)
	}
	return err
}
