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

	dated   *storage.Copy // when the tags were pushed
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
	r.links, r.dated = map[storage.Entry]bool{}, storage.NewCopy(r.registry.Store)
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
	if err := r.dated.End(ctx); err != nil {
		return err
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
	var missing []digest.Digest
	for d := range g.Broken { // a later generation may have it
		if _, ok := have[d]; !ok {
			missing = append(missing, d)
		}
	}
	attached := map[digest.Digest]bool{}
	for _, d := range g.Files {
		attached[d] = true
	}
	var present []digest.Digest
	for d, size := range g.Blobs {
		switch there, ok := have[d]; {
		case attached[d]:
		case !ok || there != size:
			missing = append(missing, d)
		default:
			present = append(present, d)
		}
	}
	if r.overwrite {
		corrupted, err := r.corrupted(ctx, present)
		if err != nil {
			return nil, err
		}
		missing = append(missing, corrupted...)
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
		} else if before, ok := g.Broken[d]; ok {
			bad[d] = before + atTheTime
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

// corrupted returns what the registry has of some content that isn't what its digest says: a push doesn't
// replace it.
func (r *restoration) corrupted(ctx context.Context, present []digest.Digest) (all []digest.Digest, err error) {
	err = each(ctx, present, func(ctx context.Context, d digest.Digest) error {
		reason, err := checkBlob(ctx, d, r.registry)
		if err != nil || reason == "" {
			return err
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.log.Warn("bad in the registry: copied anew", "digest", d, "reason", reason)
		all = append(all, d)
		return nil
	})
	return all, err
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
	if err := r.date(ctx, g, name); err != nil {
		return err
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

// date notes when the tags were pushed that are about to be restored. Of those of a backup that doesn't
// know, none is younger than another.
func (r *restoration) date(ctx context.Context, g *generation, name string) error {
	tags := map[string]storage.Tagged{}
	for tag, d := range g.Repositories[name].Tags {
		link := storage.Entry{Kind: storage.Current, Repository: name, Tag: tag}
		if r.links[link] && !r.overwrite {
			continue
		}
		pushed, ok := g.Repositories[name].Pushed[tag]
		if !ok {
			pushed = g.Began
		}
		tags[tag] = storage.Tagged{Digest: d, Pushed: pushed}
	}
	return r.dated.Begin(ctx, name, tags)
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
		r.keep(e, digest.Digest(now), d)
		return nil
	}
	history := storage.Entry{Kind: storage.History, Repository: e.Repository, Tag: e.Tag, Digest: d}
	if err := r.link(ctx, history); err != nil {
		return err
	}
	if err := r.registry.PutContent(ctx, file, []byte(d)); err != nil {
		return err
	}
	r.dated.Made(e.Repository, e.Tag)
	if !r.overwrite {
		pushed, err := r.registry.KeepPush(ctx, e.Repository, e.Tag, func(one digest.Digest) bool {
			history.Digest = one
			_, known := r.links[history]
			return one == d || known
		})
		if err != nil {
			return err
		}
		if pushed != "" {
			r.keep(e, pushed, d)
			return nil
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.summary.tags++
	return nil
}

// keep counts a tag that names something else than in the backup, and stays so.
func (r *restoration) keep(e storage.Entry, now, backup digest.Digest) {
	r.dated.Kept(e.Repository, e.Tag)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.summary.kept++
	r.log.Info("kept", "repository", e.Repository, "tag", e.Tag, "digest", now, "backup", backup)
}
