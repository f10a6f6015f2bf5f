package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/pattern"
	"registry.local/images/tools/storage"
)

// dated is a driver in memory whose files may be older than they are.
type dated struct {
	driver.StorageDriver
	mutex sync.Mutex
	times map[string]time.Time
}

func (d *dated) Stat(ctx context.Context, path string) (driver.FileInfo, error) {
	info, err := d.StorageDriver.Stat(ctx, path)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if changed, ok := d.times[path]; ok && err == nil {
		return driver.FileInfoInternal{FileInfoFields: driver.FileInfoFields{
			Path: info.Path(), Size: info.Size(), IsDir: info.IsDir(), ModTime: changed,
		}}, nil
	}
	return info, err
}

func (d *dated) forget(path string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	delete(d.times, path)
}

func (d *dated) PutContent(ctx context.Context, path string, content []byte) error {
	d.forget(path)
	return d.StorageDriver.PutContent(ctx, path, content)
}

func (d *dated) Move(ctx context.Context, from, to string) error {
	d.forget(from)
	return d.StorageDriver.Move(ctx, from, to)
}

// onDated runs a test on files and in memory, where tags may have been pushed at any time.
func onDated(t *testing.T, test func(*place)) {
	t.Run("files", func(t *testing.T) { test(onFiles(t)) })
	t.Run("memory", func(t *testing.T) { test(inMemory(t)) })
}

func inMemory(t *testing.T) *place {
	return newPlace(t, &dated{StorageDriver: inmemory.New(), times: map[string]time.Time{}})
}

// pushed makes a tag name a manifest as if it had been pushed that long ago.
func (p *place) pushed(repository, tag string, d digest.Digest, ago time.Duration) {
	p.Helper()
	p.Tag(repository, tag, d)
	for _, e := range []storage.Entry{
		{Kind: storage.History, Repository: repository, Tag: tag, Digest: d},
		{Kind: storage.Current, Repository: repository, Tag: tag},
	} {
		file, at := storage.Root+"/"+e.File(), time.Now().Add(-ago)
		if memory, ok := p.StorageDriver.(*dated); ok {
			memory.times[file] = at
		} else if err := os.Chtimes(filepath.Join(p.folder, file), at, at); err != nil {
			p.Fatal(err)
		}
	}
}

// tags returns what the tags of a repository name.
func (p *place) tags(repository string) map[string]digest.Digest {
	p.Helper()
	m := newMarker(p.Store, 0, discard)
	all, err := m.tree(context.Background(), "repositories/"+repository)
	if err != nil {
		p.Fatal(err)
	}
	if all[repository] == nil {
		return nil
	}
	named, err := m.resolveAll(context.Background(), repository, mapKeys(all[repository].tags))
	if err != nil {
		p.Fatal(err)
	}
	return named
}

func without(list []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(names, one) })
}

// hasTags fails unless a repository has just these tags.
func (p *place) hasTags(what, repository string, wanted ...string) {
	p.Helper()
	got := slices.Sorted(maps.Keys(p.tags(repository)))
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		more, less := without(got, wanted...), without(wanted, got...)
		p.Errorf("%s: %s has too many %v, too few %v", what, repository, more, less)
	}
	if p.folder != "" { // as the registry lists them
		tags := filepath.Join(storage.Root, "repositories", repository, "_manifests/tags/*")
		folders, _ := filepath.Glob(filepath.Join(p.folder, tags))
		if len(folders) != len(wanted) {
			p.Errorf("%s: %s has folders %v, wanted %v", what, repository, folders, wanted)
		}
	}
}

var discard = slog.New(slog.DiscardHandler)

func lets(repositories string, keep int, olderThan time.Duration, never ...string) rule {
	names := []string{repositories}
	return rule{names, pattern.Names(names), keep, olderThan, pattern.Names(never)}
}

// retain has only the tags go that the rules let go.
func retain(rules ...rule) func(*options) {
	return func(o *options) { o.tagsOnly, o.rules = true, rules }
}

func dry(o *options) { o.dryRun = true }
