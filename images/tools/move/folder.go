package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const draftPrefix = ".move-"

// isDraft says whether a path is that of a file which a copy has begun.
func isDraft(path string) bool {
	return strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], draftPrefix)
}

// isLeft says what stays where it is.
func isLeft(path string) bool { return path == lockFile || path == markFile }

// folder is a place in a volume.
type folder struct{ root *os.Root }

func newFolder(path string) (folder, error) {
	root, err := os.OpenRoot(path)
	return folder{root}, err
}

func (f folder) list(context.Context) (map[string]file, error) {
	all := map[string]file{}
	err := filepath.WalkDir(f.root.Name(), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(f.root.Name(), path)
		if err != nil {
			return err
		}
		if below = filepath.ToSlash(below); !isLeft(below) {
			all[below] = file{Path: below, Size: info.Size(), Time: info.ModTime()}
		}
		return nil
	})
	return all, err
}

func (f folder) look(_ context.Context, path string) (file, error) {
	info, err := f.root.Stat(filepath.FromSlash(path))
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, errGone
	}
	if err != nil {
		return file{}, err
	}
	return file{Path: path, Size: info.Size(), Time: info.ModTime()}, nil
}

func (f folder) open(_ context.Context, path string) (io.ReadCloser, error) {
	opened, err := f.root.Open(filepath.FromSlash(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if info, err := opened.Stat(); err != nil || !info.Mode().IsRegular() {
		opened.Close()
		return nil, errors.Join(errors.New("it isn't a file"), err)
	}
	return opened, nil
}

func (f folder) write(_ context.Context, each file, content io.Reader, right func() bool) error {
	target := filepath.Join(f.root.Name(), each.Path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(target), draftPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	if _, err := io.Copy(draft, content); err != nil {
		return err
	}
	if !right() {
		return errWrong
	}
	if err := errors.Join(draft.Chmod(0o644), draft.Close(),
		os.Chtimes(draft.Name(), each.Time, each.Time)); err != nil {
		return err
	}
	return os.Rename(draft.Name(), target)
}

// remove removes a file, and the folders that are empty then.
func (f folder) remove(_ context.Context, path string) error {
	err := os.Remove(filepath.Join(f.root.Name(), path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for parent := filepath.Dir(path); err == nil && parent != "."; parent = filepath.Dir(parent) {
		if os.Remove(filepath.Join(f.root.Name(), parent)) != nil {
			break // it isn't empty
		}
	}
	return err
}

// flush writes to the disk, once for all files.
func (f folder) flush() { syscall.Sync() }

func (f folder) free() (int64, error) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(f.root.Name(), &about); err != nil {
		return 0, err
	}
	return int64(about.Bavail) * about.Bsize, nil
}

func (f folder) keepsTimes() bool { return true }
