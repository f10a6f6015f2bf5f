package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// complete is an archive that has all blobs of a registry.
type complete struct {
	driver.StorageDriver
	registry *registrytest.Large
}

func (c complete) Name() string { return "s3aws" }

func (c complete) Walk(
	ctx context.Context, from string, f driver.WalkFn, options ...func(*driver.WalkOptions),
) error {
	if from != "/blobs" {
		return c.StorageDriver.Walk(ctx, from, f, options...)
	}
	return c.registry.Walk(ctx, storage.Root+"/blobs", func(info driver.FileInfo) error {
		e, ok := storage.Parse(strings.TrimPrefix(info.Path(), storage.Root+"/"))
		if !ok {
			return nil
		}
		return f(driver.FileInfoInternal{FileInfoFields: driver.FileInfoFields{
			Path: archivedBlob(e.Digest), Size: info.Size(), ModTime: info.ModTime(),
		}})
	})
}

// LARGE=100000 measures that many images, of ten layers.
func TestMemoryGrowsWithOneGenerationAlone(t *testing.T) {
	images := 400
	if text := os.Getenv("LARGE"); text != "" {
		images, _ = strconv.Atoi(text)
	}
	p := newPlace(t, inMemory)
	large := registrytest.NewLarge(images, 10)
	p.Store = &storage.Store{StorageDriver: large, Now: time.Now}
	p.target = &hooked{StorageDriver: complete{p.target.StorageDriver, large}}
	var peaks []uint64
	for range 6 {
		p.Tag("new", "latest", p.Image("new", p.Layer("new", strconv.Itoa(len(peaks)))))
		began := time.Now()
		peaks = append(peaks, registrytest.Peak(func() { p.mustBackup() }))
		t.Logf("%d blobs: %d MiB, %.1f s", 11*images, peaks[len(peaks)-1]>>20, time.Since(began).Seconds())
	}
	if len(p.names()) != 6 || peaks[5] > peaks[1]*3/2 {
		t.Errorf("%d generations, %v bytes", len(p.names()), peaks)
	}
	if each := peaks[1] / uint64(11*images); each > 3000 {
		t.Errorf("%d bytes for each blob", each)
	}
}
