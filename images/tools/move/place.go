package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// file is a file of a registry.
type file struct {
	Path    string    `json:"path"` // below the registry's folder, with slashes
	Size    int64     `json:"size"`
	Time    time.Time `json:"time"`              // of its last change
	Content []byte    `json:"content,omitempty"` // see withContent
	Before  []byte    `json:"before,omitempty"`  // the content that it had when all were listed last
}

// place is where a registry keeps its files: a folder, or an object store.
type place interface {
	// list returns the files by path. What goes while it looks is left out.
	list(ctx context.Context) (map[string]file, error)
	// open returns the content of a file; errGone when there is none.
	open(ctx context.Context, path string) (io.ReadCloser, error)
	// look returns what a file is, without its content; errGone when there is none.
	look(ctx context.Context, path string) (file, error)
	// write makes a file of some content once right agrees: whole, or not at all. errWrong when it doesn't.
	write(ctx context.Context, each file, content io.Reader, right func() bool) error
	// remove removes a file, which may be gone.
	remove(ctx context.Context, path string) error
	// flush has all that was written survive a crash.
	flush()
	// free returns how many bytes there is room for; -1 where nobody knows.
	free() (int64, error)
	// keepsTimes is true where a copy gets the time of what it is a copy of.
	keepsTimes() bool
}

var (
	errGone  = errors.New("it is gone")
	errWrong = errors.New("the content is wrong")
)

// reachable is how long a storage may take for its first answer.
const reachable = 30 * time.Second

// openPlace returns the place that a registry's configuration names, and the same as a storage.
func openPlace(ctx context.Context, config string) (place, *storage.Store, error) {
	store, parsed, err := storage.Open(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	if store.Name() == "filesystem" {
		path, _ := parsed.Storage.Parameters()["rootdirectory"].(string)
		folder, err := newFolder(path)
		return folder, store, err
	}
	first, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	if _, err := store.Stat(first, "/"); err != nil && !storage.Missing(err) {
		return nil, nil, fmt.Errorf("the object store can't be used: %w", err)
	}
	return bucket{store}, store, nil
}

// The folders of a registry's files, and the files there that aren't copied: the lock belongs to a process
// over there, and the mark to its place.
const (
	kept     = "docker/registry/v2/"
	trash    = "docker/registry/trash/"
	pushes   = "docker/registry/pushes/" // when tags were pushed, where times of files don't say it
	lockFile = trash + "lock.json"
	markFile = "docker/registry/move.json"
)

// isUpload says whether a path is that of an upload under way. Object stores don't show these as files.
func isUpload(path string) bool {
	before, _, ok := strings.Cut(path, "/_uploads/")
	return ok && !strings.Contains(before, "/_manifests/") // a tag may have that name
}

// isFixed says whether a file only ever has one content, which its path tells.
func isFixed(path string) bool {
	below, ok := strings.CutPrefix(path, kept)
	if !ok { // of some run of a clean-up
		_, below, _ = strings.Cut(strings.TrimPrefix(path, trash), "/")
	}
	entry, ok := storage.Parse(below)
	return ok && entry.Kind != storage.Current
}

// largestChanged is the size of the largest file whose content is compared, in bytes: a link has 71, a
// repository's times of pushes 100 for each tag.
const largestChanged = 1 << 20

// withContent adds the content of those files that may change without another size. What has gone by now
// goes from the list.
func withContent(ctx context.Context, from place, all map[string]file) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(2 * workers)
	var changing []file
	for path, each := range all {
		if !isFixed(path) && !isUpload(path) && each.Size <= largestChanged {
			changing = append(changing, each)
		}
	}
	read := make([]file, len(changing))
	for i, each := range changing {
		group.Go(func() (err error) {
			read[i] = each
			read[i].Content, err = contentOf(inner, from, each.Path)
			if errors.Is(err, errGone) {
				read[i].Path, err = "", nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, each := range read {
		if each.Path == "" {
			delete(all, changing[i].Path)
		} else {
			all[each.Path] = each
		}
	}
	return nil
}

// contentOf returns the content of a small file.
func contentOf(ctx context.Context, from place, path string) ([]byte, error) {
	content, err := from.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, largestChanged))
}

// bucket is a place in an object store, of which the registry has a folder.
type bucket struct{ store *storage.Store }

func (b bucket) list(ctx context.Context) (map[string]file, error) {
	all := map[string]file{}
	for _, folder := range []string{kept, trash, pushes} {
		err := b.store.Files(ctx, "/"+strings.TrimSuffix(folder, "/"), func(info driver.FileInfo) {
			each := fileOf(info)
			if !isLeft(each.Path) {
				all[each.Path] = each
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func fileOf(info driver.FileInfo) file {
	return file{Path: strings.TrimPrefix(info.Path(), "/"), Size: info.Size(), Time: info.ModTime()}
}

func (b bucket) look(ctx context.Context, path string) (file, error) {
	info, err := b.store.Stat(ctx, "/"+path)
	if storage.Missing(err) {
		return file{}, errGone
	}
	if err != nil {
		return file{}, err
	}
	return fileOf(info), nil
}

func (b bucket) open(ctx context.Context, path string) (io.ReadCloser, error) {
	content, err := b.store.Reader(ctx, "/"+path, 0)
	if storage.Missing(err) {
		return nil, errGone
	}
	return content, err
}

func (b bucket) write(ctx context.Context, each file, content io.Reader, right func() bool) error {
	partial := storage.Partial + "/" + strings.ReplaceAll(each.Path, "/", "-")
	_, ok, err := b.store.WriteWhole(ctx, "/"+each.Path, partial, content, right)
	if err == nil && !ok {
		return errWrong
	}
	return err
}

func (b bucket) remove(ctx context.Context, path string) error {
	if err := b.store.Delete(ctx, "/"+path); !storage.Missing(err) {
		return err
	}
	return nil
}

func (b bucket) flush() {}

func (b bucket) free() (int64, error) { return -1, nil }

func (b bucket) keepsTimes() bool { return false }

// put makes a small file of a text.
func put(ctx context.Context, in place, path string, text []byte) error {
	each := file{Path: path, Size: int64(len(text)), Time: time.Now()}
	return in.write(ctx, each, bytes.NewReader(text), func() bool { return true })
}
