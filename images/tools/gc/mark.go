package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// workers is how many requests to the storage run at once.
const workers = 8

// trashed is one entry in the trash.
type trashed struct {
	storage.Stored
	run string
}

// File returns the path of the driver at which it is.
func (t trashed) File() string { return storage.Trash + "/" + t.run + "/" + t.Entry.File() }

// rubbish is all that is in the trash.
type rubbish struct {
	entries   []trashed
	files     map[storage.Entry]string // path of the driver
	manifests map[string]bool          // true for a repository of which there are some
}

// sizes returns how many blobs a run put aside, and their bytes.
func (r rubbish) sizes(run string) (blobs int, bytes int64) {
	for _, t := range r.entries {
		if t.run == run && t.Kind == storage.Blob {
			blobs++
			bytes += t.Size
		}
	}
	return blobs, bytes
}

// marking is what has to stay.
type marking struct {
	repositories map[string]*repository
	blobs        storage.Digests
}

// marker finds out what has to stay.
type marker struct {
	store *storage.Store
	grace time.Duration
	log   *slog.Logger

	mutex   sync.Mutex
	known   map[digest.Digest]storage.References // what is named by a digest never changes
	damaged storage.Digests                      // manifests of which nobody knows what they need
	lines   map[string]struct{}                  // warnings that have been given

	expired tagNames // tags that count for nothing, because they would go
}

func newMarker(s *storage.Store, grace time.Duration, log *slog.Logger) *marker {
	return &marker{
		store: s, grace: grace, log: log,
		known: map[digest.Digest]storage.References{}, damaged: storage.Digests{},
		lines: map[string]struct{}{},
	}
}

// young returns whether something that changed then is still in its time of grace.
func (m *marker) young(changed time.Time) bool { return changed.Add(m.grace).After(m.store.Now()) }

// warn logs what is skipped, once.
func (m *marker) warn(message, repository string, what string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	key := message + repository + what
	if _, given := m.lines[key]; !given {
		m.lines[key] = struct{}{}
		m.log.Warn(message, "repository", repository, "of", what)
	}
}

// tree returns all repositories that have something below a path.
func (m *marker) tree(ctx context.Context, below string) (map[string]*repository, error) {
	all := map[string]*repository{}
	err := m.store.Entries(ctx, storage.Root, below, func(s storage.Stored) {
		r := all[s.Repository]
		if r == nil {
			r = &repository{
				revisions: map[digest.Digest]time.Time{}, layers: map[digest.Digest]time.Time{},
				tags: map[string]*tag{}, needed: storage.Digests{},
			}
			all[s.Repository] = r
		}
		if s.Kind == storage.Current || s.Kind == storage.History {
			t := r.tags[s.Tag]
			if t == nil {
				t = &tag{}
				r.tags[s.Tag] = t
			}
			t.Add(s)
			if s.Kind == storage.History {
				t.history = append(t.history, s.Digest)
			}
			return
		}
		if s.Size == 0 { // its path has the digest as well
			m.warn("empty link: kept, and what it stands for too", s.Repository, s.Digest.String())
		}
		if s.Kind == storage.Layer {
			r.layers[s.Digest] = s.Changed
		} else {
			r.revisions[s.Digest] = s.Changed
		}
	})
	return all, err
}

// complete returns what has to stay so that every manifest of the tree and every tag is complete, what
// the trash holds of it included.
func (m *marker) complete(ctx context.Context, from rubbish) (*marking, error) {
	return m.mark(ctx, from, func(name string, r *repository) (roots []digest.Digest, err error) {
		for d := range r.revisions {
			roots = append(roots, d)
		}
		if !from.manifests[name] {
			return roots, nil
		}
		tagged, err := m.tagged(ctx, name, m.mayNameRubbish(name, r, from))
		return append(roots, tagged...), err
	})
}

// mayNameRubbish returns a repository with those of its tags that may name a manifest in the trash: their
// history does, or they have been pushed of late, whatever of their history has been put aside with it.
func (m *marker) mayNameRubbish(name string, r *repository, from rubbish) *repository {
	some := *r
	some.tags = map[string]*tag{}
	for tagName, t := range r.tags {
		aside := slices.ContainsFunc(t.history, func(d digest.Digest) bool {
			_, ok := from.files[storage.Entry{Kind: storage.Revision, Repository: name, Digest: d}]
			return ok
		})
		if aside || m.young(t.Youngest) {
			some.tags[tagName] = t
		}
	}
	return &some
}

// wanted returns what has to stay when untagged manifests go: those that are tagged, younger than the
// grace or in keep, and what belongs to these or is part of them.
func (m *marker) wanted(ctx context.Context, keep storage.Digests) (*marking, error) {
	return m.mark(ctx, rubbish{}, func(name string, r *repository) ([]digest.Digest, error) {
		m.refer(r)
		roots, err := m.tagged(ctx, name, r)
		for d, changed := range r.revisions {
			if m.young(changed) || keep.Has(d) {
				roots = append(roots, d)
			}
		}
		return roots, err
	})
}

// mark returns what the roots of every repository need, and young links.
func (m *marker) mark(
	ctx context.Context, from rubbish, roots func(string, *repository) ([]digest.Digest, error),
) (*marking, error) {
	all, err := m.tree(ctx, "repositories")
	if err != nil {
		return nil, err
	}
	if err := m.readAll(ctx, all, from); err != nil {
		return nil, err
	}
	result := &marking{all, storage.Digests{}}
	for name, r := range all {
		first, err := roots(name, r)
		if err != nil {
			return nil, err
		}
		if err := m.reach(ctx, name, r, first, from, r.needed); err != nil {
			return nil, err
		}
		if m.anyDamaged(r) {
			m.warn("a manifest is damaged: all that its repository has is kept", name, "")
			every := append(mapKeys(r.revisions), mapKeys(r.layers)...)
			if err := m.reach(ctx, name, r, every, from, r.needed); err != nil {
				return nil, err
			}
		}
		for d := range r.needed {
			result.blobs.Add(d)
		}
		for d, changed := range r.layers {
			if m.young(changed) {
				r.needed.Add(d)
				result.blobs.Add(d)
			}
		}
	}
	return result, nil
}

// anyDamaged returns whether something is needed of which nobody knows what it needs.
func (m *marker) anyDamaged(r *repository) bool {
	for d := range m.damaged {
		if r.needed.Has(d) {
			return true
		}
	}
	return false
}

// reach adds manifests of a repository to `reached`, with all that they need and what belongs to these.
func (m *marker) reach(
	ctx context.Context, name string, r *repository, manifests []digest.Digest, from rubbish,
	reached storage.Digests,
) error {
	for todo := slices.Clone(manifests); len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if reached.Has(d) {
			continue
		}
		reached.Add(d)
		todo = append(todo, r.referrers[d]...)
		_, here := r.revisions[d]
		_, aside := from.files[storage.Entry{Kind: storage.Revision, Repository: name, Digest: d}]
		if here || aside {
			found, err := m.references(ctx, name, d, from)
			if err != nil {
				return err
			}
			todo = append(todo, found.All()...)
		}
	}
	return nil
}
