package main

import (
	"context"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// repository is what the tree holds of one.
type repository struct {
	revisions map[digest.Digest]time.Time
	layers    map[digest.Digest]time.Time
	tags      map[string]*tag
	needed    storage.Digests
	referrers map[digest.Digest][]digest.Digest
}

// tag is what the tree holds of one.
type tag struct {
	storage.Written
	pushed  time.Time // when what it names now was pushed, in retention
	history []digest.Digest
}

// current returns whether it names something now.
func (t *tag) current() bool { return !t.Link.IsZero() }

// refer notes which manifests of a repository, all of which have been read, belong to which.
func (m *marker) refer(r *repository) {
	r.referrers = map[digest.Digest][]digest.Digest{}
	for d := range r.revisions {
		if subject := m.known[d].Subject; subject != "" {
			r.referrers[subject] = append(r.referrers[subject], d)
		}
	}
}

// tagged returns the manifests that a repository's tags name.
func (m *marker) tagged(ctx context.Context, name string, r *repository) ([]digest.Digest, error) {
	var tags []string
	for tagName, t := range r.tags {
		if t.current() && !m.expired.has(name, tagName) {
			tags = append(tags, tagName)
		}
	}
	named, err := m.resolveAll(ctx, name, tags)
	var roots []digest.Digest
	for tagName, d := range named {
		if d != "" {
			roots = append(roots, d)
		} else { // whatever it may have named
			m.warn("broken tag: all that it has named is kept", name, tagName)
			roots = append(roots, r.tags[tagName].history...)
		}
	}
	return roots, err
}

// resolve returns the manifest that a tag names, or "" when its link is broken.
func (m *marker) resolve(ctx context.Context, name, tag string) (digest.Digest, error) {
	link := storage.Entry{Kind: storage.Current, Repository: name, Tag: tag}.File()
	content, err := m.store.GetContent(ctx, storage.Root+"/"+link)
	if err != nil {
		return "", err
	}
	d, err := digest.Parse(string(content))
	if err != nil {
		return "", nil
	}
	return d, nil
}

// resolveAll returns what tags name, of those that are there.
func (m *marker) resolveAll(
	ctx context.Context, name string, tags []string,
) (map[string]digest.Digest, error) {
	var mutex sync.Mutex
	names := map[string]digest.Digest{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, tagName := range tags {
		group.Go(func() error {
			d, err := m.resolve(ctx, name, tagName)
			if storage.Missing(err) { // deleted meanwhile
				return nil
			}
			mutex.Lock()
			defer mutex.Unlock()
			names[tagName] = d
			return err
		})
	}
	return names, group.Wait()
}
