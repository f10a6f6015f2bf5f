package main

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
)

const (
	root  = "/docker/registry/v2"
	trash = "/docker/registry/trash"
)

// kind is what a file of the registry's tree is for.
type kind int

const (
	blob     kind = iota // content, by digest
	layer                // a repository has this blob
	revision             // a repository has this manifest
	current              // the manifest that a tag names
	history              // a manifest that a tag names or has named
)

// entry is one file of the registry's tree; what doesn't apply to its kind is empty.
type entry struct {
	kind       kind
	repository string
	tag        string
	digest     digest.Digest
}

// folder returns the path of the entry's folder, which holds nothing else, below the root.
func (e entry) folder() string {
	algorithm, encoded, _ := strings.Cut(e.digest.String(), ":")
	hashed := path.Join(algorithm, encoded)
	in := path.Join("repositories", e.repository)
	switch e.kind {
	case layer:
		return path.Join(in, "_layers", hashed)
	case revision:
		return path.Join(in, "_manifests/revisions", hashed)
	case current:
		return path.Join(in, "_manifests/tags", e.tag, "current")
	case history:
		return path.Join(in, "_manifests/tags", e.tag, "index", hashed)
	default:
		return path.Join("blobs", algorithm, encoded[:2], encoded)
	}
}

// file returns the path of the entry's file below the root.
func (e entry) file() string {
	if e.kind == blob {
		return e.folder() + "/data"
	}
	return e.folder() + "/link"
}

// parse returns the entry whose file is at a path below the root, and false for any other file.
func parse(file string) (entry, bool) {
	if rest, ok := strings.CutPrefix(file, "blobs/"); ok {
		parts := strings.Split(rest, "/")
		if len(parts) != 4 || parts[3] != "data" || !strings.HasPrefix(parts[2], parts[1]) {
			return entry{}, false
		}
		return known(entry{kind: blob, digest: joined(parts[0], parts[2])}, file)
	}
	rest, ok := strings.CutPrefix(file, "repositories/")
	if !ok {
		return entry{}, false
	}
	if name, rest, ok := strings.Cut(rest, "/_layers/"); ok {
		if parts := strings.Split(rest, "/"); len(parts) == 3 {
			return known(entry{kind: layer, repository: name, digest: joined(parts[0], parts[1])}, file)
		}
		return entry{}, false
	}
	name, rest, ok := strings.Cut(rest, "/_manifests/")
	parts := strings.Split(rest, "/")
	switch {
	case !ok:
	case len(parts) == 4 && parts[0] == "revisions":
		return known(entry{kind: revision, repository: name, digest: joined(parts[1], parts[2])}, file)
	case len(parts) == 4 && parts[0] == "tags" && parts[2] == "current":
		return known(entry{kind: current, repository: name, tag: parts[1]}, file)
	case len(parts) == 6 && parts[0] == "tags" && parts[2] == "index":
		named := entry{kind: history, repository: name, tag: parts[1], digest: joined(parts[3], parts[4])}
		return known(named, file)
	}
	return entry{}, false
}

func joined(algorithm, encoded string) digest.Digest {
	return digest.Digest(algorithm + ":" + encoded)
}

// known returns the entry if its digest is one and its file is at that very path.
func known(e entry, file string) (entry, bool) {
	if e.kind != current && e.digest.Validate() != nil {
		return entry{}, false
	}
	return e, e.file() == file
}

// stored is a file of the tree or of the trash, as a listing showed it.
type stored struct {
	entry
	size    int64
	changed time.Time
}

// store is a registry's storage.
type store struct {
	driver.StorageDriver
	now func() time.Time
}

// movesFolders is true where a whole folder is renamed in one step, which leaves no empty one behind.
func (s *store) movesFolders() bool { return s.Name() == "filesystem" }

// walk calls visit for every entry below a path of the driver; what vanishes meanwhile is left out.
// Folders for uploads under way are not looked into.
func (s *store) walk(ctx context.Context, base, below string, visit func(stored)) error {
	file := func(info driver.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if info.IsDir() {
			if path.Base(info.Path()) == "_uploads" {
				return driver.ErrSkipDir
			}
			return nil
		}
		if e, ok := parse(strings.TrimPrefix(info.Path(), base+"/")); ok {
			visit(stored{e, info.Size(), info.ModTime()})
		}
		return nil
	}
	from := path.Join(base, below)
	if s.Name() == "s3aws" { // one listing; the other drivers' own walks end when a folder vanishes
		if err := s.Walk(ctx, from, file); !missing(err) {
			return err
		}
		return nil
	}
	return s.descend(ctx, from, file)
}

func (s *store) descend(ctx context.Context, folder string, visit func(driver.FileInfo) error) error {
	children, err := s.List(ctx, folder)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range children {
		info, err := s.Stat(ctx, child)
		if missing(err) {
			continue
		}
		if err != nil {
			return err
		}
		switch err := visit(info); {
		case errors.Is(err, driver.ErrSkipDir):
		case err != nil:
			return err
		case info.IsDir():
			if err := s.descend(ctx, child, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// repositories returns the names of those that have manifests, in order.
func (s *store) repositories(ctx context.Context) ([]string, error) {
	var names []string
	base := root + "/repositories"
	folders := []string{base}
	for len(folders) > 0 {
		folder := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		children, err := s.List(ctx, folder)
		if err != nil && !missing(err) {
			return nil, err
		}
		for _, child := range children {
			switch name := path.Base(child); {
			case name == "_manifests" && folder != base:
				names = append(names, strings.TrimPrefix(folder, base+"/"))
			case !strings.HasPrefix(name, "_"):
				folders = append(folders, child)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// missing returns whether an error means that there is nothing at a path, or nothing of a registry's:
// the drivers refuse names that a registry doesn't give, such as lost+found, and a file has no children.
func missing(err error) bool {
	var absent driver.PathNotFoundError
	var foreign driver.InvalidPathError
	var other driver.Error // doesn't unwrap; a folder that vanishes while it is read is such a one
	if errors.As(err, &other) &&
		(errors.Is(other.Detail, fs.ErrNotExist) || errors.Is(other.Detail, syscall.ENOTDIR)) {
		return true
	}
	return errors.As(err, &absent) || errors.As(err, &foreign)
}
