package main

import (
	"cmp"
	"context"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// putTagsAside puts tags of a repository aside, but those of manifests that are to be kept, and returns
// how many went and what they named. It stops when ctx ends. A dry run only notes the tags.
func (c *collector) putTagsAside(
	ctx context.Context, name string, tags []candidate,
) (gone int, went []digest.Digest, err error) {
	slices.SortFunc(tags, func(a, b candidate) int {
		return cmp.Or(a.pushed.Compare(b.pushed), cmp.Compare(a.name, b.name))
	})
	if !c.opts.dryRun {
		if err := c.notePushes(ctx, name, tags); err != nil {
			return 0, nil, err
		}
	}
	var mutex sync.Mutex
	group, inner := errgroup.WithContext(context.WithoutCancel(ctx)) // a tag goes as a whole
	group.SetLimit(workers)
	for _, t := range tags {
		if ctx.Err() != nil || inner.Err() != nil {
			break
		}
		group.Go(func() error {
			d, err := c.marker.resolve(inner, name, t.name)
			if err != nil && !storage.Missing(err) {
				return err
			}
			if d != "" && c.opts.keep.Has(d) {
				c.log.Info("in use: kept", "repository", name, "tag", t.name, "digest", d)
				return nil
			}
			moved := c.opts.dryRun
			if !moved {
				if moved, err = c.putTagAside(inner, name, t); err != nil {
					return err
				}
			}
			if !moved {
				return nil
			}
			mutex.Lock()
			defer mutex.Unlock()
			message := "tag put aside"
			if c.opts.dryRun {
				message = "tag would go"
				c.marker.expired[[2]string{name, t.name}] = struct{}{}
			}
			c.log.Info(message, "repository", name, "tag", t.name, "digest", d,
				"pushed", t.pushed.UTC().Format(time.RFC3339))
			gone++
			if d != "" {
				went = append(went, d)
			}
			return nil
		})
	}
	return gone, went, group.Wait()
}

// putTagAside moves a tag to the trash unless it has changed since it was looked at, and returns
// whether it did. A push writes a link into the tag's history, and then its current link: whichever
// comes while the tag is moved makes the tag stay.
func (c *collector) putTagAside(ctx context.Context, name string, t candidate) (bool, error) {
	files, err := tagFiles(ctx, c.store, storage.Root, name, t.name)
	if err != nil || len(files) == 0 || youngest(files).Changed.After(t.changed) {
		return false, err
	}
	run := c.summary.run + "/" + asideTags
	if c.store.MovesFolders() {
		folder := tagFolder(name, t.name)
		err := c.store.Move(ctx, path.Join(storage.Root, folder), path.Join(storage.Trash, run, folder))
		if err != nil {
			if storage.Missing(err) {
				return false, nil
			}
			return false, err
		}
		files, err := tagFiles(ctx, c.store, path.Join(storage.Trash, run), name, t.name)
		if err == nil && youngest(files).Changed.After(t.changed) {
			_, err = bringBackTag(ctx, c.store, run, files)
			return false, err
		}
		return true, err
	}
	slices.SortFunc(files, func(a, b storage.Stored) int { return cmp.Compare(a.Kind, b.Kind) })
	for i, s := range files { // the current link first: without it, there is no tag
		err := c.store.Move(ctx, storage.Root+"/"+s.File(), trashed{s, run}.File())
		if err != nil && !storage.Missing(err) {
			return false, err
		}
		if i == 0 {
			left, err := tagFiles(ctx, c.store, storage.Root, name, t.name)
			if err != nil {
				return false, err
			}
			if y := youngest(left); y.Changed.After(t.changed) {
				return false, c.keepPush(ctx, y, trashed{s, run})
			}
		}
	}
	return true, nil
}

// keepPush makes a tag name what was pushed while it was put aside.
func (c *collector) keepPush(ctx context.Context, pushed storage.Stored, aside trashed) error {
	if pushed.Kind == storage.History {
		current := storage.Entry{
			Kind: storage.Current, Repository: pushed.Repository, Tag: pushed.Tag,
		}
		link := storage.Root + "/" + current.File()
		if _, err := c.store.Stat(ctx, link); storage.Missing(err) {
			if err := c.store.PutContent(ctx, link, []byte(pushed.Digest)); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	if err := c.store.Delete(ctx, aside.File()); !storage.Missing(err) {
		return err
	}
	return nil
}

// tagFolder returns the path of a tag's folder below the root.
func tagFolder(repository, tag string) string {
	return path.Dir(storage.Entry{Kind: storage.Current, Repository: repository, Tag: tag}.Folder())
}

// tagFiles returns the files of a tag below a path of the driver.
func tagFiles(
	ctx context.Context, s *storage.Store, base, repository, tag string,
) ([]storage.Stored, error) {
	var files []storage.Stored
	err := s.Entries(ctx, base, tagFolder(repository, tag), func(one storage.Stored) { files = append(files, one) })
	return files, err
}

// youngest returns the file that was written last.
func youngest(files []storage.Stored) (last storage.Stored) {
	for _, one := range files {
		if one.Changed.After(last.Changed) {
			last = one
		}
	}
	return last
}
