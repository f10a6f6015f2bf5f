package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// blobs returns all blobs.
func (c *collector) blobs(ctx context.Context) ([]storage.Stored, error) {
	var all []storage.Stored
	err := c.store.Entries(ctx, storage.Root, "blobs", func(s storage.Stored) { all = append(all, s) })
	return all, err
}

// candidates returns what may go, in the order in which it goes: what refers, then what is referred to.
func (c *collector) candidates(ctx context.Context, blobs []storage.Stored) ([]storage.Stored, error) {
	find := c.marker.complete
	if c.opts.untagged {
		find = func(ctx context.Context, _ rubbish) (*marking, error) {
			return c.marker.wanted(ctx, c.opts.keep)
		}
	}
	keep, err := find(ctx, rubbish{})
	if err != nil {
		return nil, err
	}
	if len(keep.repositories) == 0 && len(blobs) > 0 {
		return nil, fmt.Errorf(
			"%d blobs, but no repositories, in %s/repositories: nothing was changed. "+
				"Is all of the registry's storage there?", len(blobs), storage.Root)
	}
	if len(blobs) == 0 && keep.anyRevisions() {
		return nil, fmt.Errorf("manifests, but no blobs, in %s/blobs: nothing was changed. "+
			"Is all of the registry's storage there?", storage.Root)
	}
	var links, rest []storage.Stored
	for name, r := range keep.repositories {
		c.summary.repositories++
		gone := storage.Digests{}
		for d, changed := range r.revisions {
			if r.needed.Has(d) {
				c.summary.manifests++
				continue
			}
			gone.Add(d)
			one := storage.Entry{Kind: storage.Revision, Repository: name, Digest: d}
			links = append(links, storage.Stored{Entry: one, Changed: changed})
		}
		for tagName, t := range r.tags {
			for _, d := range t.history {
				if gone.Has(d) {
					one := storage.Entry{Kind: storage.History, Repository: name, Tag: tagName, Digest: d}
					links = append(links, storage.Stored{Entry: one})
				}
			}
		}
		for d, changed := range r.layers {
			if !r.needed.Has(d) {
				one := storage.Entry{Kind: storage.Layer, Repository: name, Digest: d}
				links = append(links, storage.Stored{Entry: one, Changed: changed})
			}
		}
	}
	for _, s := range blobs {
		switch {
		case keep.blobs.Has(s.Digest):
			c.summary.blobs++
		case c.marker.young(s.Changed):
			c.summary.young++
		default:
			rest = append(rest, s)
		}
	}
	return append(links, rest...), nil
}

func (m *marking) anyRevisions() bool {
	for _, r := range m.repositories {
		if len(r.revisions) > 0 {
			return true
		}
	}
	return false
}

// count adds an entry that went.
func (s *summary) count(one storage.Stored) {
	switch one.Kind {
	case storage.Blob:
		s.gone.blobs++
		s.goneBytes += one.Size
	case storage.Revision:
		s.gone.manifests++
	default:
		s.gone.links++
	}
}

// asideAll puts the candidates aside, links first.
func (c *collector) asideAll(ctx context.Context, candidates []storage.Stored) error {
	first := sort.Search(len(candidates), func(i int) bool { return candidates[i].Kind == storage.Blob })
	var mutex sync.Mutex
	last, done := time.Now(), 0
	for _, part := range [][]storage.Stored{candidates[:first], candidates[first:]} {
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(workers)
		for _, s := range part {
			if inner.Err() != nil {
				break
			}
			group.Go(func() error {
				gone, err := c.aside(inner, s)
				mutex.Lock()
				defer mutex.Unlock()
				if gone {
					c.summary.count(s)
				}
				if done++; time.Since(last) > progressEvery {
					last = time.Now()
					c.log.Info("putting aside", "done", done, "of", len(candidates))
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// aside moves an entry to the trash unless it has changed of late, and returns whether it did.
func (c *collector) aside(ctx context.Context, s storage.Stored) (bool, error) {
	info, err := c.store.Stat(ctx, storage.Root+"/"+s.File())
	if storage.Missing(err) || (err == nil && c.marker.young(info.ModTime())) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	into := storage.Trash + "/" + c.summary.run + "/"
	from, to := s.File(), s.File()
	if c.store.MovesFolders() {
		from, to = s.Folder(), s.Folder()
	}
	whole := context.WithoutCancel(ctx) // a move is never half done
	if err := c.store.Move(whole, storage.Root+"/"+from, into+to); err != nil {
		if storage.Missing(err) {
			return false, nil
		}
		return false, err
	}
	if !c.store.MovesFolders() { // the move made it young
		return true, nil
	}
	info, err = c.store.Stat(whole, into+s.File())
	if err == nil && c.marker.young(info.ModTime()) { // written between the two steps above
		_, err = bringBack(whole, c.store, trashed{s, c.summary.run})
		return false, err
	}
	return true, nil
}
