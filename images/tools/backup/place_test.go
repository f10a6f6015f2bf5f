package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func init() { retryAfter, storage.SmallFile = time.Millisecond, 1<<10 }

// hooked is a driver that calls a function before each request.
type hooked struct {
	driver.StorageDriver
	before func(request, path string) error
}

func (h *hooked) call(request, path string) error {
	if h.before == nil {
		return nil
	}
	return h.before(request, path)
}

func (h *hooked) List(ctx context.Context, path string) ([]string, error) {
	if err := h.call("list", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.List(ctx, path)
}

func (h *hooked) Stat(ctx context.Context, path string) (driver.FileInfo, error) {
	if err := h.call("stat", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.Stat(ctx, path)
}

func (h *hooked) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := h.call("get", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.GetContent(ctx, path)
}

func (h *hooked) PutContent(ctx context.Context, path string, content []byte) error {
	if err := h.call("put", path); err != nil {
		return err
	}
	return h.StorageDriver.PutContent(ctx, path, content)
}

func (h *hooked) Move(ctx context.Context, from, to string) error {
	if err := h.call("move", to); err != nil {
		return err
	}
	return h.StorageDriver.Move(ctx, from, to)
}

func (h *hooked) Delete(ctx context.Context, path string) error {
	if err := h.call("delete", path); err != nil {
		return err
	}
	return h.StorageDriver.Delete(ctx, path)
}

// place is a registry and its archive under test.
type place struct {
	registrytest.Tree
	source *hooked
	target *hooked
	log    bytes.Buffer
}

// on runs a test on files and in memory.
func on(t *testing.T, test func(*place)) {
	t.Run("files", func(t *testing.T) { test(newPlace(t, onFiles)) })
	t.Run("memory", func(t *testing.T) { test(newPlace(t, inMemory)) })
}

func onFiles(t *testing.T) driver.StorageDriver {
	return filesystem.New(filesystem.DriverParameters{RootDirectory: t.TempDir(), MaxThreads: 100})
}

func inMemory(*testing.T) driver.StorageDriver { return inmemory.New() }

func newPlace(t *testing.T, makeDriver func(*testing.T) driver.StorageDriver) *place {
	p := &place{source: &hooked{StorageDriver: makeDriver(t)}, target: &hooked{StorageDriver: makeDriver(t)}}
	p.Tree = registrytest.Tree{T: t, Store: &storage.Store{StorageDriver: p.source, Now: time.Now}}
	return p
}

func (p *place) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&p.log, nil)) }

func (p *place) archive() *archive {
	return archiveIn(&storage.Store{StorageDriver: p.target, Now: time.Now})
}

func (p *place) backup(change ...func(*options)) (*backup, error) {
	b := &backup{registry: ofRegistry(p.Store), archive: p.archive(), log: p.logger()}
	for _, one := range change {
		one(&b.opts)
	}
	return b, b.run(context.Background())
}

func (p *place) mustBackup(change ...func(*options)) *backup {
	p.Helper()
	b, err := p.backup(change...)
	if err != nil {
		p.Fatal(err)
	}
	return b
}

func (p *place) names() []string {
	p.Helper()
	names, err := p.archive().names(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	return names
}

// generation returns the newest one.
func (p *place) generation() *generation {
	p.Helper()
	names := p.names()
	if len(names) == 0 {
		p.Fatal("there is no backup")
	}
	g, err := p.archive().load(context.Background(), names[len(names)-1])
	if err != nil {
		p.Fatal(err)
	}
	return g
}

func (p *place) restore(into registrytest.Tree, name string, overwrite bool) error {
	r := &restoration{
		archive: p.archive(), registry: ofRegistry(into.Store), log: p.logger(), overwrite: overwrite,
	}
	full, err := p.archive().name(context.Background(), name)
	if err != nil {
		p.Fatal(err)
	}
	return r.run(context.Background(), full)
}

// empty returns another registry, which has nothing.
func (p *place) empty() registrytest.Tree {
	store := &storage.Store{StorageDriver: inmemory.New(), Now: time.Now}
	return registrytest.Tree{T: p.T, Store: store}
}

func (p *place) verify(remove bool) error {
	return verify(context.Background(), p.archive(), "", remove, p.logger())
}

// logs fails unless the log has a line with all these words.
func (p *place) logs(words ...string) {
	p.Helper()
	for line := range strings.Lines(p.log.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return
		}
	}
	p.Errorf("no line with %q in:\n%s", words, p.log.String())
}

// files returns the content of a registry, by path.
func files(t registrytest.Tree) map[string]string {
	all := map[string]string{}
	ctx := context.Background()
	err := t.Entries(ctx, storage.Root, "", func(e storage.Stored) {
		content, err := t.GetContent(ctx, storage.Root+"/"+e.File())
		if err != nil {
			t.Fatal(err)
		}
		all[e.File()] = string(content)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fill pushes one of all that a registry may have.
func (p *place) fill() {
	shared, large := p.Layer("app", "shared"), p.Layer("app", strings.Repeat("large", storage.SmallFile/4))
	p.Link(storage.Entry{Kind: storage.Layer, Repository: "team/other", Digest: shared})
	p.Tag("app", "v1", p.Image("app", shared, large))
	p.Tag("team/other", "v1", p.Image("team/other", shared, p.Layer("team/other", "")))
	child := p.Image("app", shared, p.Layer("app", "of a child"))
	index := p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(child)})
	p.Tag("app", "multi", p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(index)}))
	p.Manifest("app", registrytest.Fields{
		"subject": registrytest.Fields{"digest": child},
		"layers":  registrytest.Named(p.Layer("app", "a signature")),
	})
	p.Image("app", p.Layer("app", "of no tag"))
	long := digest.SHA512.FromString("long")
	p.Put(storage.Entry{Kind: storage.Blob, Digest: long}.File(), "long")
	p.Link(storage.Entry{Kind: storage.Layer, Repository: "app", Digest: long})
	p.Tag("app", "sha512", p.Image("app", long))
	p.Raw("app", `["`+shared.String()+`"]`)
	p.Tag("app", "_uploads", p.Image("app", p.Layer("app", "of a tag of a strange name")))
}

// flip changes one byte of a blob in the archive.
func (p *place) flip(d digest.Digest) {
	content, err := p.archive().GetContent(context.Background(), archivedBlob(d))
	if err != nil {
		p.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := p.target.StorageDriver.PutContent(context.Background(), archivedBlob(d), content); err != nil {
		p.Fatal(err)
	}
}

var errKilled = errors.New("killed")

// whole fails unless a tag and all that it needs are there.
func whole(t registrytest.Tree, repository, tag string) {
	t.Helper()
	all := files(t)
	link := storage.Entry{Kind: storage.Current, Repository: repository, Tag: tag}
	next := []digest.Digest{digest.Digest(all[link.File()])}
	for len(next) > 0 {
		d := next[0]
		next = next[1:]
		content, ok := all[storage.Entry{Kind: storage.Blob, Digest: d}.File()]
		if !ok || digest.FromString(content) != d {
			t.Errorf("%s:%s lacks %s", repository, tag, d)
			continue
		}
		revision := storage.Entry{Kind: storage.Revision, Repository: repository, Digest: d}
		if _, ok := all[revision.File()]; ok {
			found, _ := storage.Read([]byte(content))
			next = append(next, found.All()...)
		}
	}
}

func write(t *testing.T, content string) string {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
