package registrytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// Large is the storage of a registry of any size that takes no room: one tag for each image, layers of
// its own for each, and a hundredth as many repositories. It lists all at once, as an object store does.
type Large struct {
	driver.StorageDriver // what is written to it
	Images, Layers       int
	pushed               time.Time
	manifests            [][]byte
	images               map[digest.Digest]int
}

// NewLarge returns one of so many images of so many layers, pushed a second after the other.
func NewLarge(images, layers int) *Large {
	l := &Large{
		StorageDriver: inmemory.New(), Images: images, Layers: layers,
		pushed: time.Now().Add(-10000 * time.Hour), images: map[digest.Digest]int{},
	}
	for i := range images {
		content, _ := json.Marshal(Fields{"schemaVersion": 2, "number": i, "layers": Named(l.layers(i)...)})
		l.manifests = append(l.manifests, content)
		l.images[digest.FromBytes(content)] = i
	}
	return l
}

// Name is that of object stores, which are listed by Walk.
func (l *Large) Name() string { return "s3aws" }

func (l *Large) repository(i int) string { return fmt.Sprintf("team/app%d", i%max(1, l.Images/100)) }

func (l *Large) layers(i int) (all []digest.Digest) {
	for j := range l.Layers {
		all = append(all, digest.Digest(fmt.Sprintf("sha256:%056x%08x", i, j)))
	}
	return all
}

// file is one that a registry wrote.
func (l *Large) file(i int, e storage.Entry, size int) driver.FileInfo {
	return driver.FileInfoInternal{FileInfoFields: driver.FileInfoFields{
		Path: storage.Root + "/" + e.File(), Size: int64(size), ModTime: l.pushed.Add(time.Duration(i) * time.Second),
	}}
}

// content returns a file that a registry wrote, of manifests and tags.
func (l *Large) content(path string) ([]byte, bool) {
	e, ok := storage.Parse(strings.TrimPrefix(path, storage.Root+"/"))
	if !ok {
		return nil, false
	}
	if e.Kind == storage.Current {
		var i int
		if _, err := fmt.Sscanf(e.Tag, "v%d", &i); err != nil || i >= l.Images {
			return nil, false
		}
		return []byte(digest.FromBytes(l.manifests[i])), true
	}
	if i, ok := l.images[e.Digest]; ok && e.Kind == storage.Blob {
		return l.manifests[i], true
	}
	return nil, false
}

// GetContent returns the content of a file.
func (l *Large) GetContent(ctx context.Context, path string) ([]byte, error) {
	if content, ok := l.content(path); ok {
		return content, nil
	}
	return l.StorageDriver.GetContent(ctx, path)
}

// Stat returns what is known of a file.
func (l *Large) Stat(ctx context.Context, path string) (driver.FileInfo, error) {
	if content, ok := l.content(path); ok {
		return driver.FileInfoInternal{FileInfoFields: driver.FileInfoFields{
			Path: path, Size: int64(len(content)), ModTime: l.pushed,
		}}, nil
	}
	return l.StorageDriver.Stat(ctx, path)
}

// Peak returns the most memory that a function needs for what it keeps, in bytes.
func Peak(run func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
	}()
	run()
	close(stop)
	return max(<-peak, before.HeapAlloc) - before.HeapAlloc
}

// List returns what is below a folder, of those that lead to repositories.
func (l *Large) List(ctx context.Context, folder string) (children []string, err error) {
	switch base := storage.Root + "/repositories"; {
	case folder == base:
		return []string{base + "/team"}, nil
	case folder == base+"/team":
		for i := range max(1, l.Images/100) {
			children = append(children, base+"/"+l.repository(i))
		}
		return children, nil
	case strings.HasPrefix(folder, base):
		return []string{folder + "/_manifests"}, nil
	}
	return l.StorageDriver.List(ctx, folder)
}

// Walk calls f for all files below a path that is a folder of the root.
func (l *Large) Walk(
	ctx context.Context, from string, f driver.WalkFn, options ...func(*driver.WalkOptions),
) error {
	err := l.StorageDriver.Walk(ctx, from, f, options...)
	if missing := (driver.PathNotFoundError{}); err != nil && !errors.As(err, &missing) {
		return err
	}
	for i := range l.Images {
		in := l.repository(i)
		if strings.Contains(from, "/team/") && !strings.HasPrefix(from, storage.Root+"/repositories/"+in+"/") {
			continue
		}
		d, layers := digest.FromBytes(l.manifests[i]), l.layers(i)
		tag := fmt.Sprint("v", i)
		files := []driver.FileInfo{
			l.file(i, storage.Entry{Kind: storage.Blob, Digest: d}, 100*l.Layers),
			l.file(i, storage.Entry{Kind: storage.Revision, Repository: in, Digest: d}, 71),
			l.file(i, storage.Entry{Kind: storage.History, Repository: in, Tag: tag, Digest: d}, 71),
			l.file(i, storage.Entry{Kind: storage.Current, Repository: in, Tag: tag}, 71),
		}
		for _, layer := range layers {
			files = append(files, l.file(i, storage.Entry{Kind: storage.Blob, Digest: layer}, 1000),
				l.file(i, storage.Entry{Kind: storage.Layer, Repository: in, Digest: layer}, 71))
		}
		for _, file := range files {
			if !strings.HasPrefix(file.Path(), from+"/") {
				continue
			}
			if err := f(file); err != nil {
				return err
			}
		}
	}
	return nil
}
