package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/command"
	"registry.local/images/tools/storage"
)

// progressEvery is how often a line says how far a run is.
const progressEvery = 10 * time.Second

// options of a run.
type options struct {
	name  string            // of the registry, which an archive has one of; "" for any
	keep  int               // generations that stay; 0 for all
	wait  time.Duration     // how long to wait for others to end
	files map[string]string // what else to keep: paths by name
	empty bool              // take a registry for what it is that has lost all
}

// backup copies a registry to an archive.
type backup struct {
	registry content
	archive  *archive
	log      *slog.Logger
	opts     options

	report report
}

// report is how a run ended.
type report struct {
	command.Ending
	Generation  string `json:"generation,omitempty"`
	New         bool   `json:"new"` // false: nothing had changed since the generation
	Tags        int    `json:"tags"`
	Blobs       int    `json:"blobs"`
	Bytes       int64  `json:"bytes"`
	BlobsCopied int    `json:"blobs_copied"`
	BytesCopied int64  `json:"bytes_copied"`
	Broken      int    `json:"broken"` // blobs that are broken in the registry
}

// LogValue returns the report as it is logged.
func (r report) LogValue() slog.Value {
	return r.With(
		slog.String("generation", r.Generation),
		slog.Bool("new", r.New),
		slog.Int("tags", r.Tags),
		slog.Int("blobs", r.Blobs),
		slog.Int64("bytes", r.Bytes),
		slog.Int("blobs_copied", r.BlobsCopied),
		slog.Int64("bytes_copied", r.BytesCopied),
		slog.Int("broken", r.Broken),
	)
}

// run makes a generation, unless nothing has changed since the last, and notes in the archive how that
// ended.
func (b *backup) run(ctx context.Context) error {
	began := time.Now()
	err := b.generate(ctx)
	b.report.Ended = b.archive.Now().UTC().Truncate(time.Second)
	b.report.Seconds = time.Since(began).Seconds()
	if b.report.Interrupted = err != nil && ctx.Err() != nil; !b.report.Interrupted && err != nil {
		b.report.Error = err.Error()
	}
	content, failure := json.Marshal(b.report)
	if failure == nil {
		failure = b.archive.PutContent(context.WithoutCancel(ctx), lastRun, content)
	}
	if failure != nil {
		b.log.Warn("how it ended can't be noted", "error", failure.Error())
	}
	if b.report.Generation != "" {
		b.log.Info("done", "run", b.report)
	}
	return err
}

// keepFiles copies what else is to be kept; of the last generation's files stays what isn't given anew.
func (b *backup) keepFiles(
	ctx context.Context, before, now *generation, have map[digest.Digest]int64,
) error {
	for name, d := range before.Files {
		if size, ok := have[d]; ok && b.opts.files[name] == "" {
			now.Files[name], now.Blobs[d] = d, size
		}
	}
	for name, file := range b.opts.files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		d := digest.FromBytes(content)
		if _, ok := have[d]; !ok {
			if err := b.archive.PutContent(ctx, b.archive.file(d), content); err != nil {
				return err
			}
			have[d] = int64(len(content))
		}
		now.Files[name], now.Blobs[d] = d, have[d]
	}
	return nil
}

// prune removes the generations that are too many, and the blobs that no generation names any more.
func (b *backup) prune(ctx context.Context, have map[digest.Digest]int64) error {
	names, err := b.archive.names(ctx)
	if err != nil {
		return err
	}
	tooMany := 0
	if b.opts.keep > 0 {
		tooMany = max(0, len(names)-b.opts.keep)
	}
	for _, name := range names[:tooMany] {
		if err := b.archive.Delete(ctx, generationFile(name)); err != nil && !storage.Missing(err) {
			return err
		}
		b.log.Info("removed", "generation", name)
	}
	wrong, err := b.archive.visit(ctx, names[tooMany:], func(_ string, g *generation) {
		for d := range g.Blobs {
			delete(have, d)
		}
	})
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("no blob was removed, since nobody knows what this needs: %w; delete its file in "+
			"%s if it is of no use", errors.Join(wrong...), generations)
	}
	unused := slices.Collect(maps.Keys(have))
	if len(unused) > 0 {
		b.log.Info("removed", "blobs", len(unused))
	}
	return each(ctx, unused, func(ctx context.Context, d digest.Digest) error {
		if err := b.archive.Delete(ctx, b.archive.file(d)); !storage.Missing(err) {
			return err
		}
		return nil
	})
}
