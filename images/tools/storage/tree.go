// Package storage reads and locks the storage of a registry: its tree of files, whatever they are kept on.
package storage

import (
	"context"
	_ "crypto/sha256" // the algorithms of digests
	_ "crypto/sha512"
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

// Folders of the storage: what the registry keeps, what a clean-up has put aside, and what a restore has
// begun to copy.
const (
	Root    = "/docker/registry/v2"
	Trash   = "/docker/registry/trash"
	Partial = "/docker/registry/partial"
)

// Digests is a set of digests.
type Digests map[digest.Digest]struct{}

// Add adds a digest.
func (d Digests) Add(one digest.Digest) { d[one] = struct{}{} }

// Has returns whether a digest is in the set.
func (d Digests) Has(one digest.Digest) bool { _, ok := d[one]; return ok }

// Kind is what a file of the registry's tree is for.
type Kind int

const (
	Blob     Kind = iota // content, by digest
	Layer                // a repository has this blob
	Revision             // a repository has this manifest
	Current              // the manifest that a tag names
	History              // a manifest that a tag names or has named
)

// Entry is one file of the registry's tree; what doesn't apply to its kind is empty.
type Entry struct {
	Kind       Kind
	Repository string
	Tag        string
	Digest     digest.Digest
}

// Folder returns the path of the entry's folder, which holds nothing else, below the root.
func (e Entry) Folder() string {
	algorithm, encoded, _ := strings.Cut(e.Digest.String(), ":")
	hashed := path.Join(algorithm, encoded)
	in := path.Join("repositories", e.Repository)
	switch e.Kind {
	case Layer:
		return path.Join(in, "_layers", hashed)
	case Revision:
		return path.Join(in, "_manifests/revisions", hashed)
	case Current:
		return path.Join(in, "_manifests/tags", e.Tag, "current")
	case History:
		return path.Join(in, "_manifests/tags", e.Tag, "index", hashed)
	default:
		return path.Join("blobs", algorithm, encoded[:2], encoded)
	}
}

// File returns the path of the entry's file below the root.
func (e Entry) File() string {
	if e.Kind == Blob {
		return e.Folder() + "/data"
	}
	return e.Folder() + "/link"
}

// Parse returns the entry whose file is at a path below the root, and false for any other file.
func Parse(file string) (Entry, bool) {
	if rest, ok := strings.CutPrefix(file, "blobs/"); ok {
		parts := strings.Split(rest, "/")
		if len(parts) != 4 || parts[3] != "data" || !strings.HasPrefix(parts[2], parts[1]) {
			return Entry{}, false
		}
		return known(Entry{Kind: Blob, Digest: joined(parts[0], parts[2])}, file)
	}
	rest, ok := strings.CutPrefix(file, "repositories/")
	if !ok {
		return Entry{}, false
	}
	name, rest, ok := strings.Cut(rest, "/_manifests/") // first: a tag may be called _layers
	if !ok {
		if name, rest, ok = strings.Cut(name, "/_layers/"); !ok {
			return Entry{}, false
		}
		if parts := strings.Split(rest, "/"); len(parts) == 3 {
			return known(Entry{Kind: Layer, Repository: name, Digest: joined(parts[0], parts[1])}, file)
		}
		return Entry{}, false
	}
	parts := strings.Split(rest, "/")
	switch {
	case len(parts) == 4 && parts[0] == "revisions":
		return known(Entry{Kind: Revision, Repository: name, Digest: joined(parts[1], parts[2])}, file)
	case len(parts) == 4 && parts[0] == "tags" && parts[2] == "current":
		return known(Entry{Kind: Current, Repository: name, Tag: parts[1]}, file)
	case len(parts) == 6 && parts[0] == "tags" && parts[2] == "index":
		named := Entry{Kind: History, Repository: name, Tag: parts[1], Digest: joined(parts[3], parts[4])}
		return known(named, file)
	}
	return Entry{}, false
}

func joined(algorithm, encoded string) digest.Digest {
	return digest.Digest(algorithm + ":" + encoded)
}

// known returns the entry if its digest is one and its file is at that very path.
func known(e Entry, file string) (Entry, bool) {
	if e.Kind != Current && e.Digest.Validate() != nil {
		return Entry{}, false
	}
	return e, e.File() == file
}

// Stored is a file of the tree or of the trash, as a listing showed it.
type Stored struct {
	Entry
	Size    int64
	Changed time.Time
}

// Store is a registry's storage.
type Store struct {
	driver.StorageDriver
	Now func() time.Time // the time, which tests change
}

// MovesFolders is true where a whole folder is renamed in one step, which leaves no empty one behind.
func (s *Store) MovesFolders() bool { return s.Name() == "filesystem" }

// WritesWhole is true where nothing is at a path before its writer has committed.
func (s *Store) WritesWhole() bool { return s.Name() == "s3aws" }

// Entries calls visit for every entry below a path of the driver; what vanishes meanwhile is left out.
// Folders for uploads under way are not looked into.
func (s *Store) Entries(ctx context.Context, base, below string, visit func(Stored)) error {
	var last Entry // a name that is part of a path would keep the path in memory
	return s.Files(ctx, path.Join(base, below), func(info driver.FileInfo) {
		e, ok := Parse(strings.TrimPrefix(info.Path(), base+"/"))
		if !ok {
			return
		}
		if e.Repository != last.Repository {
			last.Repository = strings.Clone(e.Repository)
		}
		if e.Tag != last.Tag {
			last.Tag = strings.Clone(e.Tag)
		}
		e.Repository, e.Tag = last.Repository, last.Tag
		visit(Stored{e, info.Size(), info.ModTime()})
	})
}

// Files calls visit for every file below a path of the driver, as Entries does.
func (s *Store) Files(ctx context.Context, from string, visit func(driver.FileInfo)) error {
	file := func(info driver.FileInfo) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !info.IsDir() {
			visit(info)
		} else if path.Base(info.Path()) == "_uploads" && !strings.Contains(info.Path(), "/_manifests/") {
			return driver.ErrSkipDir // but for a tag of that name
		}
		return nil
	}
	if s.Name() == "s3aws" { // one listing; the other drivers' own walks end when a folder vanishes
		if err := s.Walk(ctx, from, file); !Missing(err) {
			return err
		}
		return nil
	}
	return s.descend(ctx, from, file)
}

func (s *Store) descend(ctx context.Context, folder string, visit driver.WalkFn) error {
	children, err := s.List(ctx, folder)
	if Missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range children {
		info, err := s.Stat(ctx, child)
		if Missing(err) {
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

// Repositories returns the names of those that have manifests, in order.
func (s *Store) Repositories(ctx context.Context) ([]string, error) {
	var names []string
	base := Root + "/repositories"
	folders := []string{base}
	for len(folders) > 0 {
		folder := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		children, err := s.List(ctx, folder)
		if err != nil && !Missing(err) {
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

// Missing returns whether an error means that there is nothing at a path, or nothing of a registry's:
// the drivers refuse names that a registry doesn't give, such as lost+found, and a file has no children.
func Missing(err error) bool {
	var absent driver.PathNotFoundError
	var foreign driver.InvalidPathError
	var other driver.Error // doesn't unwrap; a folder that vanishes while it is read is such a one
	if errors.As(err, &other) &&
		(errors.Is(other.Detail, fs.ErrNotExist) || errors.Is(other.Detail, syscall.ENOTDIR)) {
		return true
	}
	return errors.As(err, &absent) || errors.As(err, &foreign)
}
