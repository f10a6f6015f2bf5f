package main

import (
	"context"
	"path"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// trash returns what all runs have put aside.
func (c *collector) trash(ctx context.Context) (rubbish, error) {
	all := rubbish{files: map[storage.Entry]string{}, manifests: map[string]bool{}}
	runs, err := runs(ctx, c.store)
	if err != nil {
		return all, err
	}
	for _, run := range runs {
		err := c.store.Entries(ctx, storage.Trash+"/"+run, "", func(s storage.Stored) {
			one := trashed{s, run}
			all.entries = append(all.entries, one)
			all.files[s.Entry] = one.File()
			if s.Kind == storage.Revision {
				all.manifests[s.Repository] = true
			}
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// runs returns the runs that have something in the trash, the oldest first.
func runs(ctx context.Context, s *storage.Store) ([]string, error) {
	children, err := s.List(ctx, storage.Trash)
	if err != nil && !storage.Missing(err) {
		return nil, err
	}
	var names []string
	for _, child := range children {
		name := path.Base(child)
		if _, err := time.Parse(runFormat, name); err == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

func (c *collector) lookAtAll(ctx context.Context) error {
	all, err := c.trash(ctx)
	if err != nil || len(all.entries) == 0 {
		return err
	}
	return c.look(ctx, all)
}

// look brings back from the trash what a manifest or a tag needs.
func (c *collector) look(ctx context.Context, from rubbish) error {
	needed, err := c.marker.complete(ctx, from)
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var mutex sync.Mutex
	for _, t := range from.entries {
		if !needed.has(t.Entry) {
			continue
		}
		group.Go(func() error {
			moved, err := bringBack(inner, c.store, t)
			if moved {
				mutex.Lock()
				defer mutex.Unlock()
				c.summary.back++
				c.log.Info("brought back", "path", t.Entry.File(), "run", t.run)
			}
			return err
		})
	}
	return group.Wait()
}

// has returns whether an entry has to stay.
func (m *marking) has(e storage.Entry) bool {
	if e.Kind == storage.Blob {
		return m.blobs.Has(e.Digest)
	}
	r := m.repositories[e.Repository]
	return r != nil && r.needed.Has(e.Digest)
}

// bringBack moves an entry from the trash to the tree, and returns whether it was missing there.
func bringBack(ctx context.Context, s *storage.Store, t trashed) (bool, error) {
	to := storage.Root + "/" + t.Entry.File()
	if _, err := s.Stat(ctx, to); !storage.Missing(err) {
		return false, err
	}
	// Moved whole even when the run ends now: half a move would leave a copy in both places.
	err := s.Move(context.WithoutCancel(ctx), t.File(), to)
	if storage.Missing(err) {
		return false, nil
	}
	return err == nil, err
}

// empty deletes the runs that have been in the trash for long enough; a dry run counts them.
func (c *collector) empty(ctx context.Context, all rubbish) error {
	names, err := runs(ctx, c.store)
	if err != nil {
		return err
	}
	for _, run := range names {
		since, _ := time.Parse(runFormat, run)
		if since.Add(c.opts.trash).After(c.store.Now()) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		blobs, bytes := all.sizes(run)
		log := c.log.With("run", run, "blobs", blobs, "bytes", bytes)
		if c.opts.dryRun {
			log.Info("would be removed from the trash")
		} else {
			log.Info("removing from the trash")
			if err := c.store.Delete(ctx, storage.Trash+"/"+run); err != nil && !storage.Missing(err) {
				return err
			}
		}
		c.summary.removed += blobs
		c.summary.removedBytes += bytes
	}
	return nil
}
