package main

import (
	"context"
	"io"
	"path"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// workers is how many requests to the storage run at once.
const workers = 8

// content is where blobs are: an archive, or the storage of a registry.
type content struct {
	*storage.Store
	file    func(digest.Digest) string // path of a blob
	below   string                     // folder of all blobs
	partial string                     // folder of what isn't whole yet
}

// ofRegistry returns the content of a registry.
func ofRegistry(s *storage.Store) content {
	file := func(d digest.Digest) string {
		return storage.Root + "/" + storage.Entry{Kind: storage.Blob, Digest: d}.File()
	}
	return content{s, file, storage.Root + "/blobs", storage.Partial}
}

// sizes returns the sizes of all blobs that are there, in bytes.
func (c content) sizes(ctx context.Context) (map[digest.Digest]int64, error) {
	sizes := map[digest.Digest]int64{}
	err := c.Files(ctx, c.below, func(info driver.FileInfo) {
		hashed := strings.TrimSuffix(info.Path(), "/data")
		algorithm := path.Base(path.Dir(path.Dir(hashed)))
		d := digest.Digest(algorithm + ":" + path.Base(hashed))
		if d.Validate() == nil && c.file(d) == info.Path() {
			sizes[d] = info.Size()
		}
	})
	return sizes, err
}

// tidy removes what isn't whole: an interrupted run has left it.
func (c content) tidy(ctx context.Context) error {
	if err := c.Delete(ctx, c.partial); !storage.Missing(err) {
		return err
	}
	return nil
}

// The reasons for which content is bad.
const (
	absent  = "missing"
	corrupt = "its content isn't that of its digest"
)

// copyBlob copies a blob and checks its digest on the way: it is there whole and right, or not at all.
// It returns the size, and the reason if the content is bad.
func copyBlob(
	ctx context.Context, d digest.Digest, from, into content,
) (size int64, reason string, err error) {
	for attempt := range 3 {
		if attempt > 0 {
			storage.Pause(ctx, retryAfter)
		}
		size, reason, err = tryCopy(ctx, d, from, into)
		if reason == absent || (err == nil && reason == "") || ctx.Err() != nil {
			break
		}
	}
	return size, reason, err
}

// retryAfter is how long after a failure a blob is copied again.
var retryAfter = time.Second

func tryCopy(
	ctx context.Context, d digest.Digest, from, into content,
) (int64, string, error) {
	reader, err := from.Reader(ctx, from.file(d), 0)
	if storage.Missing(err) {
		return 0, absent, nil
	}
	if err != nil {
		return 0, "", err
	}
	defer reader.Close()
	verifier := d.Verifier()
	part := path.Join(into.partial, d.Encoded())
	size, right, err := into.WriteWhole(
		ctx, into.file(d), part, io.TeeReader(reader, verifier), verifier.Verified)
	if err == nil && !right {
		return 0, corrupt, nil
	}
	return size, "", err
}

// checkBlob reads a blob, and returns the reason if its content is bad.
func checkBlob(ctx context.Context, d digest.Digest, from content) (string, error) {
	reader, err := from.Reader(ctx, from.file(d), 0)
	if storage.Missing(err) {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	defer reader.Close()
	verifier := d.Verifier()
	if _, err := io.Copy(verifier, storage.ContextReader{Context: ctx, Reader: reader}); err != nil {
		return "", err
	}
	if !verifier.Verified() {
		return corrupt, nil
	}
	return "", nil
}

// each calls job for every item, several at once, until one fails.
func each[T any](ctx context.Context, items []T, job func(context.Context, T) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, item := range items {
		if inner.Err() != nil {
			break
		}
		group.Go(func() error { return job(inner, item) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
