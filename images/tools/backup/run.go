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
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

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
	Ended       time.Time `json:"ended"`
	Seconds     float64   `json:"seconds"`
	Error       string    `json:"error,omitempty"`
	Interrupted bool      `json:"interrupted,omitempty"`
	Generation  string    `json:"generation,omitempty"`
	New         bool      `json:"new"` // false: nothing had changed since the generation
	Tags        int       `json:"tags"`
	Blobs       int       `json:"blobs"`
	Bytes       int64     `json:"bytes"`
	BlobsCopied int       `json:"blobs_copied"`
	BytesCopied int64     `json:"bytes_copied"`
	Broken      int       `json:"broken"` // blobs that are broken in the registry
}

// LogValue returns the report as it is logged.
func (r report) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("ended", r.Ended.Format(time.RFC3339)),
		slog.Float64("seconds", r.Seconds),
		slog.String("error", r.Error),
		slog.Bool("interrupted", r.Interrupted),
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

// generate copies what is new, and then writes the generation.
func (b *backup) generate(ctx context.Context) error {
	began := b.archive.Now().UTC()
	if err := b.archive.tidy(ctx); err != nil {
		return err
	}
	name, before, err := b.newest(ctx)
	if err != nil {
		return err
	}
	if before.Name != "" && b.opts.name != before.Name {
		return fmt.Errorf("this is the place of the backups of %s, by --name: choose another one", before.Name)
	}
	now := &generation{
		Format: format, Name: b.opts.name, Began: began.Truncate(time.Second),
		Repositories: map[string]repository{},
		Blobs:        map[digest.Digest]int64{}, Files: map[string]digest.Digest{},
	}
	if err := newScanner(b.registry.Store, before.Manifests, b.log).scan(ctx, now); err != nil {
		return err
	}
	if n := len(before.Repositories); n > 0 && len(now.Repositories) == 0 && !b.opts.empty {
		return fmt.Errorf("the registry has no repositories, generation %s has %d: is all of the "+
			"registry's storage there? --empty makes a generation of it", name, n)
	}
	have, err := b.archive.sizes(ctx)
	if err != nil {
		return err
	}
	for d, size := range before.Blobs { // what has been cut short since is copied anew
		if have[d] != size {
			delete(have, d)
		}
	}
	if err := b.keepFiles(ctx, before, now, have); err != nil {
		return err
	}
	if err := b.copyAll(ctx, now, have); err != nil {
		return err
	}
	if err := b.archive.tidy(ctx); err != nil {
		return err
	}
	isNew := name == "" || !now.equal(before)
	if isNew {
		name = nameAfter(name, began)
	} else {
		now.Began = before.Began
	}
	now.Until = b.archive.Now().UTC().Truncate(time.Second)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.archive.save(ctx, name, now); err != nil {
		return err
	}
	b.report.Generation, b.report.New = name, isNew
	b.report.Tags, b.report.Bytes = now.counts()
	b.report.Blobs, b.report.Broken = len(now.Blobs), len(now.Broken)
	if isNew {
		if err := b.prune(ctx, have); err != nil {
			return err
		}
	}
	for d, names := range now.breaks(now.Broken) {
		b.log.Error("broken in the registry", "digest", d, "reason", now.Broken[d], "breaks", names)
	}
	if n := len(now.Broken); n > 0 {
		return fmt.Errorf("the backup is complete but for %d blobs that are broken in the registry: "+
			"push anew what they break, or delete it", n)
	}
	return nil
}

// newest returns the newest generation and its name; an empty one, and "", if there is none.
func (b *backup) newest(ctx context.Context) (string, *generation, error) {
	names, err := b.archive.names(ctx)
	if err != nil || len(names) == 0 {
		return "", &generation{}, err
	}
	name := names[len(names)-1]
	g, err := b.archive.load(ctx, name)
	if ctx.Err() != nil {
		return "", nil, ctx.Err()
	}
	if err != nil { // what it would have saved is read again
		b.log.Error(err.Error())
		return name, &generation{}, nil
	}
	return name, g, nil
}

// nameAfter returns the name of a new generation, which sorts after the last.
func nameAfter(last string, began time.Time) string {
	if newest, err := time.Parse(nameFormat, last); err == nil && !began.Truncate(time.Second).After(newest) {
		began = newest.Add(time.Second)
	}
	return began.Format(nameFormat)
}

// keepFiles copies what else is to be kept; if that is nothing, what came with the last generation stays.
func (b *backup) keepFiles(
	ctx context.Context, before, now *generation, have map[digest.Digest]int64,
) error {
	if len(b.opts.files) == 0 {
		for name, d := range before.Files {
			if size, ok := have[d]; ok {
				now.Files[name], now.Blobs[d] = d, size
			}
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

// copyAll copies the content that the archive doesn't have, and completes the generation.
func (b *backup) copyAll(ctx context.Context, now *generation, have map[digest.Digest]int64) error {
	needed := map[digest.Digest]bool{} // true where it has to be there
	for d, m := range now.Manifests {
		needed[d] = true
		for _, one := range m.Blobs {
			needed[one] = true
		}
	}
	for _, m := range now.Manifests {
		for _, one := range m.Optional {
			if !needed[one] {
				needed[one] = false
			}
		}
	}
	var missing []digest.Digest
	for d := range needed {
		if size, ok := have[d]; ok {
			now.Blobs[d] = size
		} else {
			missing = append(missing, d)
		}
	}
	slices.Sort(missing)
	var mutex sync.Mutex
	last, done := time.Now(), 0
	return each(ctx, missing, func(ctx context.Context, d digest.Digest) error {
		size, reason, err := copyBlob(ctx, d, b.registry, b.archive.content)
		if err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
		mutex.Lock()
		defer mutex.Unlock()
		switch {
		case reason == "":
			now.Blobs[d], have[d] = size, size
			b.report.BlobsCopied++
			b.report.BytesCopied += size
		case needed[d] || reason != absent:
			now.Broken[d] = reason
		}
		if done++; time.Since(last) > progressEvery {
			last = time.Now()
			b.log.Info("copying", "blobs", done, "of", len(missing), "bytes", b.report.BytesCopied)
		}
		return nil
	})
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
	all, wrong, err := b.archive.loadAll(ctx)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("no blob was removed, since nobody knows what this needs: %w; delete its file in "+
			"%s if it is of no use", errors.Join(wrong...), generations)
	}
	for _, g := range all {
		for d := range g.Blobs {
			delete(have, d)
		}
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
