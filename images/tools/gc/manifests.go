package main

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// readAll reads the manifests that haven't been read.
func (m *marker) readAll(ctx context.Context, all map[string]*repository, from rubbish) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	asked, done, last := storage.Digests{}, 0, time.Now()
	for name, r := range all {
		for d := range r.revisions {
			if asked.Has(d) {
				continue
			}
			asked.Add(d)
			if done++; time.Since(last) > progressEvery {
				last = time.Now()
				m.log.Info("reading manifests", "manifests", done)
			}
			group.Go(func() error {
				_, err := m.references(inner, name, d, from)
				return err
			})
		}
	}
	return group.Wait()
}

// references returns what a manifest needs; nothing, with a line, when its content is lost.
func (m *marker) references(
	ctx context.Context, name string, d digest.Digest, from rubbish,
) (storage.References, error) {
	m.mutex.Lock()
	found, ok := m.known[d]
	m.mutex.Unlock()
	if ok {
		return found, nil
	}
	content, err := m.content(ctx, d, from)
	if storage.Missing(err) {
		m.warn("manifest without content: skipped", name, d.String())
		return storage.References{}, nil
	}
	if err != nil {
		return storage.References{}, fmt.Errorf("manifest %s@%s: %w", name, d, err)
	}
	found, understood := storage.Read(content)
	whole := d.Algorithm().FromBytes(content) == d
	switch {
	case !whole:
		m.warn("a manifest's content isn't that of its digest", name, d.String())
	case !understood:
		m.warn("not a manifest that is known: all that it mentions is kept", name, d.String())
	}
	m.mutex.Lock()
	if !whole {
		m.damaged.Add(d)
	}
	m.known[d] = found
	m.mutex.Unlock()
	return found, nil
}

// content returns a manifest, from the tree or the trash.
func (m *marker) content(ctx context.Context, d digest.Digest, from rubbish) ([]byte, error) {
	one := storage.Entry{Kind: storage.Blob, Digest: d}
	places := []string{storage.Root + "/" + one.File()}
	if aside, ok := from.files[one]; ok {
		places = append(places, aside)
	}
	var err error
	for _, place := range places {
		var content []byte
		info, failure := m.store.Stat(ctx, place)
		if failure == nil && info.Size() > storage.LargestManifest {
			return nil, nil
		}
		if failure == nil {
			content, failure = m.store.GetContent(ctx, place)
		}
		if err = failure; !storage.Missing(err) {
			return content, err
		}
	}
	return nil, err
}
