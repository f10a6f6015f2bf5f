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
// breaks. What is corrupt is removed if wanted, so that the next run copies it anew.
func verify(ctx context.Context, a *archive, only string, remove bool, log *slog.Logger) error {
	began := time.Now()
	all, wrong, err := a.chosen(ctx, only)
	if err != nil {
		return err
	}
	for _, err := range wrong {
		log.Error(err.Error())
	}
	sizes := map[digest.Digest]int64{}
	for _, g := range all {
		maps.Copy(sizes, g.Blobs)
	}
	bad, bytes, err := readAll(ctx, a, sizes, log)
	if err != nil {
		return err
	}
	if err := a.forget(ctx, all, bad); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		broken := all[name].breaks(bad)
		for _, d := range slices.Sorted(maps.Keys(bad)) {
			if _, ok := all[name].Blobs[d]; ok {
				log.Error("broken", "digest", d, "reason", bad[d], "generation", name,
					"file", a.file(d), "breaks", broken[d])
			}
		}
	}
	log.Info("done", "generations", len(all), "blobs", len(sizes), "bytes", bytes,
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

// chosen returns all generations or one, and what is wrong with those that can't be read.
func (a *archive) chosen(ctx context.Context, only string) (map[string]*generation, []error, error) {
	if only == "" {
		all, wrong, err := a.loadAll(ctx)
		if err == nil && len(all)+len(wrong) == 0 {
			err = errors.New("there is no backup")
		}
		return all, wrong, err
	}
	name, err := a.name(ctx, only)
	if err != nil {
		return nil, nil, err
	}
	g, err := a.load(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return map[string]*generation{name: g}, nil, nil
}

// forget leaves out the generations that a run has removed meanwhile, and what only these needed.
func (a *archive) forget(
	ctx context.Context, all map[string]*generation, bad map[digest.Digest]string,
) error {
	names, err := a.names(ctx)
	if err != nil {
		return err
	}
	needed := map[digest.Digest]bool{}
	for name, g := range all {
		if !slices.Contains(names, name) {
			delete(all, name)
			continue
		}
		for d := range g.Blobs {
			needed[d] = true
		}
	}
	maps.DeleteFunc(bad, func(d digest.Digest, _ string) bool { return !needed[d] })
	return nil
}

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
