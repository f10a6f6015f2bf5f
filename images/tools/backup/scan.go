package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// scanner finds out what a registry has. It begins with the tags: whatever a tag names was complete
// before the tag was, so it is there, although clients push meanwhile.
type scanner struct {
	store *storage.Store
	log   *slog.Logger
	known map[digest.Digest]manifest // of the generation before: what a digest names never changes

	mutex     sync.Mutex
	revisions map[string]storage.Digests // manifests that the listing showed, by repository
	manifests map[digest.Digest]manifest
	bad       map[digest.Digest]string
}

func newScanner(s *storage.Store, known map[digest.Digest]manifest, log *slog.Logger) *scanner {
	return &scanner{
		store: s, log: log, known: known, revisions: map[string]storage.Digests{},
		manifests: map[digest.Digest]manifest{}, bad: map[digest.Digest]string{},
	}
}

// scan adds what the registry has to a generation: all but the sizes of the content.
func (s *scanner) scan(ctx context.Context, into *generation) error {
	listed := newListing()
	err := s.store.Entries(ctx, storage.Root, "repositories", func(e storage.Stored) {
		if e.Kind == storage.Revision {
			s.revision(e.Repository, e.Digest)
		} else if e.Tag != "" {
			listed.add(e)
		}
	})
	if err != nil {
		return err
	}
	pushes, err := s.store.Pushes(ctx, "")
	if err != nil {
		return err
	}
	named := map[tag]digest.Digest{}
	err = each(ctx, listed.tags, func(ctx context.Context, t tag) error {
		link := storage.Entry{Kind: storage.Current, Repository: t.repository, Tag: t.name}
		d, err := s.link(ctx, link)
		if err != nil || d == "" {
			return err
		}
		s.mutex.Lock()
		defer s.mutex.Unlock()
		named[t] = d
		return nil
	})
	if err != nil {
		return err
	}
	for t, d := range named {
		r, ok := into.Repositories[t.repository]
		if !ok {
			r.Tags, r.Pushed = map[string]digest.Digest{}, map[string]time.Time{}
		}
		r.Tags[t.name] = d
		if r.Pushed[t.name] = s.store.Now().UTC(); listed.has(t, d) {
			r.Pushed[t.name] = listed.pushed(t, pushes)
		}
		into.Repositories[t.repository] = r
		s.revision(t.repository, d) // a tag of which the listing came too early to show the manifest
	}
	names := slices.Sorted(maps.Keys(s.revisions))
	for _, name := range names {
		if err := s.follow(ctx, name); err != nil {
			return err
		}
		r := into.Repositories[name]
		if r.Tags == nil {
			r.Tags = map[string]digest.Digest{}
		}
		r.Manifests = slices.Sorted(maps.Keys(s.revisions[name]))
		into.Repositories[name] = r
	}
	into.Manifests, into.Broken = s.manifests, s.bad
	return nil
}

func (s *scanner) revision(repository string, d digest.Digest) {
	if s.revisions[repository] == nil {
		s.revisions[repository] = storage.Digests{}
	}
	s.revisions[repository].Add(d)
}

// link returns the digest in a link; "" if there is none, or none any more.
func (s *scanner) link(ctx context.Context, e storage.Entry) (digest.Digest, error) {
	content, err := s.store.GetContent(ctx, storage.Root+"/"+e.File())
	if storage.Missing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	d, err := digest.Parse(strings.TrimSpace(string(content)))
	if err != nil {
		s.log.Warn("broken tag: left out", "repository", e.Repository, "tag", e.Tag)
		return "", nil
	}
	return d, nil
}

// follow reads the manifests of a repository, and those that its indexes name.
func (s *scanner) follow(ctx context.Context, repository string) error {
	next := slices.Collect(maps.Keys(s.revisions[repository]))
	for len(next) > 0 {
		children := storage.Digests{}
		err := each(ctx, next, func(ctx context.Context, d digest.Digest) error {
			found, err := s.read(ctx, d)
			if err != nil {
				return fmt.Errorf("manifest %s@%s: %w", repository, d, err)
			}
			for _, child := range found.Manifests {
				if err := s.child(ctx, repository, child, children); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for d := range children {
			s.revision(repository, d)
		}
		next = slices.Collect(maps.Keys(children))
	}
	return nil
}

// child adds a manifest that an index names to `into` if the repository has it and the listing came too
// early to show it. An index may name some that were never pushed.
func (s *scanner) child(
	ctx context.Context, repository string, d digest.Digest, into storage.Digests,
) error {
	if s.revisions[repository].Has(d) {
		return nil
	}
	link := storage.Entry{Kind: storage.Revision, Repository: repository, Digest: d}
	if _, err := s.store.Stat(ctx, storage.Root+"/"+link.File()); storage.Missing(err) {
		return nil
	} else if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	into.Add(d)
	return nil
}

// read returns what a manifest names; nothing, and why, for one that is broken.
func (s *scanner) read(ctx context.Context, d digest.Digest) (manifest, error) {
	s.mutex.Lock()
	found, ok := s.manifests[d]
	if !ok {
		found, ok = s.known[d]
	}
	s.mutex.Unlock()
	reason := ""
	if !ok {
		var err error
		if found, reason, err = s.fetch(ctx, d); err != nil {
			return manifest{}, err
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if reason != "" {
		s.bad[d] = reason
	} else {
		s.manifests[d] = found
	}
	return found, nil
}

func (s *scanner) fetch(ctx context.Context, d digest.Digest) (manifest, string, error) {
	at := ofRegistry(s.store).file(d)
	info, err := s.store.Stat(ctx, at)
	if storage.Missing(err) {
		return manifest{}, absent, nil
	}
	if err != nil {
		return manifest{}, "", err
	}
	if info.Size() > storage.LargestManifest {
		return manifest{}, corrupt, nil
	}
	content, err := s.store.GetContent(ctx, at)
	if err != nil {
		return manifest{}, "", err
	}
	if d.Algorithm().FromBytes(content) != d {
		return manifest{}, corrupt, nil
	}
	r, understood := storage.Read(content)
	if !understood { // what it seems to mention needn't be there
		s.log.Warn("not a manifest that is known: taken along as it is", "digest", d)
		r = storage.References{Elsewhere: r.Blobs}
	}
	return manifest{unique(r.Blobs), unique(r.Manifests), unique(r.Elsewhere)}, "", nil
}

// unique returns a sorted list without doubles, nil for an empty one.
func unique(list []digest.Digest) []digest.Digest {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
