package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

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
	b.report.New = name == "" || !now.equal(before)
	if b.report.New {
		name = nameAfter(name, began)
	} else {
		now.Began = before.Began
	}
	if err := b.save(ctx, name, now); err != nil {
		return err
	}
	if b.report.New {
		if err := b.prune(ctx, have); err != nil {
			return err
		}
	}
	return b.broken(now)
}

// save writes the generation, of what is there by now, and reports it.
func (b *backup) save(ctx context.Context, name string, now *generation) error {
	now.Until = b.archive.Now().UTC().Truncate(time.Second)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.archive.save(ctx, name, now); err != nil {
		return err
	}
	b.report.Generation = name
	b.report.Tags, b.report.Bytes = now.counts()
	b.report.Blobs, b.report.Broken = len(now.Blobs), len(now.Broken)
	return nil
}

// broken returns an error, and logs each blob, where the registry itself has broken ones.
func (b *backup) broken(now *generation) error {
	for d, names := range now.breaks(now.Broken) {
		b.log.Error("broken in the registry", "digest", d, "reason", now.Broken[d], "breaks", names)
	}
	if n := len(now.Broken); n > 0 {
		return fmt.Errorf("the backup is complete but for %d blobs that are broken in the registry. Push anew "+
			"what lacks one that is missing. What has a corrupt one: delete it, collect the garbage, and then "+
			"push it anew, since a push doesn't replace what is there", n)
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
