package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

const day = 24 * time.Hour

// place is a store under test, with a clock of its own.
type place struct {
	registrytest.Tree
	later  time.Duration
	folder string                  // of files
	hook   func(from string) error // called before each move
}

// Move moves a file, after the hook.
func (p *place) Move(ctx context.Context, from, to string) error {
	if p.hook != nil {
		if err := p.hook(from); err != nil {
			return err
		}
	}
	return p.StorageDriver.Move(ctx, from, to)
}

// hooked is a driver whose moves go through the place's hook.
type hooked struct {
	driver.StorageDriver
	place *place
}

func (h hooked) Move(ctx context.Context, from, to string) error {
	return h.place.Move(ctx, from, to)
}

// on runs a test on files and in memory.
func on(t *testing.T, test func(*place)) {
	t.Run("files", func(t *testing.T) {
		test(onFiles(t))
	})
	t.Run("memory", func(t *testing.T) { test(newPlace(t, inmemory.New())) })
}

func onFiles(t *testing.T) *place {
	folder := t.TempDir()
	p := newPlace(t, filesystem.New(filesystem.DriverParameters{
		RootDirectory: folder, MaxThreads: 100,
	}))
	p.folder = folder
	return p
}

func newPlace(t *testing.T, d driver.StorageDriver) *place {
	p := &place{Tree: registrytest.Tree{T: t}}
	now := func() time.Time { return time.Now().Add(p.later) }
	p.Store = &storage.Store{StorageDriver: d, Now: now}
	return p
}

func (p *place) has(what string, e storage.Entry, wanted bool) {
	p.Helper()
	if _, err := p.Stat(context.Background(), storage.Root+"/"+e.File()); (err == nil) != wanted {
		p.Errorf("%s: there is %v, wanted %v", what, err == nil, wanted)
	}
}

func (p *place) hasBlob(what string, d digest.Digest, wanted bool) {
	p.Helper()
	p.has(what, storage.Entry{Kind: storage.Blob, Digest: d}, wanted)
}

// collect runs once with a grace of a day, and a trash of a week.
func (p *place) collect(change ...func(*options)) (summary, error) {
	return p.collectUntil(context.Background(), change...)
}

func (p *place) collectUntil(ctx context.Context, change ...func(*options)) (summary, error) {
	o := options{grace: day, trash: 7 * day}
	for _, one := range change {
		one(&o)
	}
	c := collector{
		store: &storage.Store{StorageDriver: hooked{p.StorageDriver, p}, Now: p.Now}, cache: noCache{},
		log: slog.New(slog.NewTextHandler(io.Discard, nil)), opts: o,
	}
	err := c.run(ctx)
	return c.summary, err
}

func (p *place) mustCollect(change ...func(*options)) summary {
	p.Helper()
	s, err := p.collect(change...)
	if err != nil {
		p.Fatal(err)
	}
	return s
}

func untagged(keep ...digest.Digest) func(*options) {
	return func(o *options) {
		o.untagged, o.keep = true, storage.Digests{}
		for _, d := range keep {
			o.keep.Add(d)
		}
	}
}
