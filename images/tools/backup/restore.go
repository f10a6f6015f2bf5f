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

// restoration copies a generation to a registry, which may be in use. Nothing is there before what it
// needs: first content, then the links to it, then manifests, then tags.
type restoration struct {
	archive   *archive
	registry  content
	log       *slog.Logger
	overwrite bool // tags that name something else by now

	mutex   sync.Mutex
	links   map[storage.Entry]bool // those that the registry has
	summary struct{ tags, kept, blobs, broken int }
	bytes   int64
}

// run restores a generation.
func (r *restoration) run(ctx context.Context, name string) error {
	began := time.Now()
	g, err := r.archive.load(ctx, name)
	if err != nil {
		return err
	}
	if err := r.registry.tidy(ctx); err != nil {
		return err
	}
	bad, err := r.blobs(ctx, g)
	if err != nil {
		return err
	}
	if err := r.registry.tidy(ctx); err != nil {
		return err
	}
	r.links = map[storage.Entry]bool{}
	err = r.registry.Entries(ctx, storage.Root, "repositories", func(e storage.Stored) {
		r.links[e.Entry] = e.Size > 0
	})
	if err != nil {
		return err
	}
	for _, repository := range slices.Sorted(maps.Keys(g.Repositories)) {
		if err := r.repository(ctx, g, repository, bad); err != nil {
			return fmt.Errorf("%s: %w", repository, err)
		}
	}
	for d, names := range g.breaks(bad) {
		r.summary.broken += len(names)
		r.log.Error("not restored", "names", names, "digest", d, "reason", bad[d])
	}
	r.log.Info("done", "generation", name, "repositories", len(g.Repositories),
		"tags_restored", r.summary.tags, "tags_kept", r.summary.kept, "blobs_copied", r.summary.blobs,
		"bytes_copied", r.bytes, "broken", r.summary.broken, "seconds", time.Since(began).Seconds())
	if r.summary.broken > 0 {
		return errors.New("all is restored but for the above, which another generation may have whole")
	}
	return nil
}

// blobs copies the content that the registry doesn't have, and returns what it can't get.
func (r *restoration) blobs(ctx context.Context, g *generation) (map[digest.Digest]string, error) {
	have, err := r.registry.sizes(ctx)
	if err != nil {
		return nil, err
	}
	bad := map[digest.Digest]string{}
	for d, reason := range g.Broken {
		if _, ok := have[d]; !ok {
			bad[d] = reason + " when the backup was made"
		}
	}
	attached := map[digest.Digest]bool{}
	for _, d := range g.Files {
		attached[d] = true
	}
	var missing []digest.Digest
	for d, size := range g.Blobs {
		if there, ok := have[d]; (!ok || there != size) && !attached[d] {
			missing = append(missing, d)
		}
	}
	slices.Sort(missing)
	last, done := time.Now(), 0
	err = each(ctx, missing, func(ctx context.Context, d digest.Digest) error {
		size, reason, err := copyBlob(ctx, d, r.archive.content, r.registry)
		if err != nil {
			return fmt.Errorf("blob %s: %w", d, err)
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		if reason == "" {
			r.summary.blobs++
			r.bytes += size
		} else {
			bad[d] = reason
		}
		if done++; time.Since(last) > progressEvery {
			last = time.Now()
			r.log.Info("copying", "blobs", done, "of", len(missing), "bytes", r.bytes)
		}
		return nil
	})
	return bad, err
}

// repository restores the links of one repository to what isn't bad.
func (r *restoration) repository(
	ctx context.Context, g *generation, name string, bad map[digest.Digest]string,
) error {
	damage := newDamage(g, name, bad)
	var layers, images, indexes []storage.Entry
	placed := map[digest.Digest]bool{}
	var place func(digest.Digest)
	place = func(d digest.Digest) { // what an index is made of before the index
		if placed[d] || !damage.here[d] || len(damage.of(d)) > 0 {
			return
		}
		placed[d] = true
		for _, child := range g.Manifests[d].Manifests {
			place(child)
		}
		parts := slices.Clone(g.Manifests[d].Blobs)
		for _, one := range g.Manifests[d].Optional {
			if _, ok := g.Blobs[one]; ok && bad[one] == "" {
				parts = append(parts, one)
			}
		}
		for _, one := range parts {
			layers = append(layers, storage.Entry{Kind: storage.Layer, Repository: name, Digest: one})
		}
		link := storage.Entry{Kind: storage.Revision, Repository: name, Digest: d}
		if len(g.Manifests[d].Manifests) == 0 {
			images = append(images, link)
		} else {
			indexes = append(indexes, link)
		}
	}
	for _, d := range g.Repositories[name].Manifests {
		place(d)
	}
	for _, links := range [][]storage.Entry{layers, images} {
		if err := each(ctx, r.lacking(links), r.link); err != nil {
			return err
		}
	}
	for _, e := range r.lacking(indexes) {
		if err := r.link(ctx, e); err != nil {
			return err
		}
	}
	tags := slices.Sorted(maps.Keys(g.Repositories[name].Tags))
	return each(ctx, tags, func(ctx context.Context, tag string) error {
		d := g.Repositories[name].Tags[tag]
		if !placed[d] {
			return nil
		}
		return r.tag(ctx, storage.Entry{Kind: storage.Current, Repository: name, Tag: tag}, d)
	})
}

// lacking returns the links that the registry doesn't have, each once.
func (r *restoration) lacking(links []storage.Entry) (lacking []storage.Entry) {
	for _, e := range links {
		if !r.links[e] {
			r.links[e] = true
			lacking = append(lacking, e)
		}
	}
	return lacking
}

func (r *restoration) link(ctx context.Context, e storage.Entry) error {
	return r.registry.PutContent(ctx, storage.Root+"/"+e.File(), []byte(e.Digest))
}

// tag lets a tag name a manifest unless it names another one.
func (r *restoration) tag(ctx context.Context, e storage.Entry, d digest.Digest) error {
	file := storage.Root + "/" + e.File()
	now, err := r.registry.GetContent(ctx, file)
	if err != nil && !storage.Missing(err) {
		return err
	}
	if digest.Digest(now) == d {
		return nil
	}
	if len(now) > 0 && !r.overwrite {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.summary.kept++
		r.log.Info("kept", "repository", e.Repository, "tag", e.Tag, "digest", string(now), "backup", d)
		return nil
	}
	history := storage.Entry{Kind: storage.History, Repository: e.Repository, Tag: e.Tag, Digest: d}
	if err := r.link(ctx, history); err != nil {
		return err
	}
	if err := r.registry.PutContent(ctx, file, []byte(d)); err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.summary.tags++
	return nil
}
