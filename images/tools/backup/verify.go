package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// verify reads all content of the archive, or of one generation, and logs what is bad and what that
// breaks, what the registry lacked included. What is corrupt is removed if wanted, so that the next run
// copies it anew.
func verify(ctx context.Context, a *archive, only string, remove bool, log *slog.Logger) error {
	began := time.Now()
	names, err := a.chosen(ctx, only)
	if err != nil {
		return err
	}
	sizes := map[digest.Digest]int64{}
	wrong, err := a.visit(ctx, names, func(_ string, g *generation) {
		for d := range g.Broken {
			sizes[d] = 0 // a later generation may have it
		}
		maps.Copy(sizes, g.Blobs)
	})
	if err != nil {
		return err
	}
	for _, err := range wrong {
		log.Error(err.Error())
	}
	all, bytes, err := readAll(ctx, a, sizes, log)
	if err != nil {
		return err
	}
	bad := map[digest.Digest]string{} // without what only a generation needed that has been removed meanwhile
	if len(all) > 0 {
		_, err = a.visit(ctx, names, func(name string, g *generation) { a.report(name, g, all, bad, log) })
		if err != nil {
			return err
		}
	}
	log.Info("done", "generations", len(names)-len(wrong), "blobs", len(sizes), "bytes", bytes,
		"broken", len(bad), "seconds", time.Since(began).Seconds())
	if remove {
		for d, reason := range bad {
			if reason == corrupt {
				if err := a.Delete(ctx, a.file(d)); err != nil && !storage.Missing(err) {
					return err
				}
				log.Info("removed", "digest", d)
			}
		}
	}
	if len(bad) > 0 || len(wrong) > 0 {
		return fmt.Errorf("the backup is broken: %d generations and %d blobs", len(wrong), len(bad))
	}
	return nil
}

// report logs what one generation needs of all that is bad, and adds it to `bad`.
func (a *archive) report(
	name string, g *generation, all, bad map[digest.Digest]string, log *slog.Logger,
) {
	broken := g.breaks(all)
	for _, d := range slices.Sorted(maps.Keys(all)) {
		reason := all[d]
		before, lacked := g.Broken[d]
		if _, ok := g.Blobs[d]; !ok && !lacked {
			continue
		}
		bad[d] = reason
		if lacked {
			reason = before + atTheTime
		}
		log.Error("broken", "digest", d, "reason", reason, "generation", name,
			"file", a.file(d), "breaks", broken[d])
	}
}

// chosen returns the names of all generations or of one.
func (a *archive) chosen(ctx context.Context, only string) ([]string, error) {
	if only != "" {
		name, err := a.name(ctx, only)
		if err != nil {
			return nil, err
		}
		_, err = a.load(ctx, name)
		return []string{name}, err
	}
	names, err := a.names(ctx)
	if err == nil && len(names) == 0 {
		err = errors.New("there is no backup")
	}
	return names, err
}

// atTheTime follows the reason of what the registry lacked.
const atTheTime = " when the backup was made"

// readAll returns what is bad of some blobs, and how much there is to read, in bytes.
func readAll(
	ctx context.Context, a *archive, sizes map[digest.Digest]int64, log *slog.Logger,
) (bad map[digest.Digest]string, bytes int64, err error) {
	bad = map[digest.Digest]string{}
	var mutex sync.Mutex
	last, done := time.Now(), 0
	err = each(ctx, slices.Sorted(maps.Keys(sizes)), func(ctx context.Context, d digest.Digest) error {
		reason, err := checkBlob(ctx, d, a.content)
		if err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
		mutex.Lock()
		defer mutex.Unlock()
		bytes += sizes[d]
		if reason != "" {
			bad[d] = reason
		}
		if done++; time.Since(last) > progressEvery {
			last = time.Now()
			log.Info("reading", "blobs", done, "of", len(sizes), "bytes", bytes)
		}
		return nil
	})
	return bad, bytes, err
}
