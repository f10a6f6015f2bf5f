package storage

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Tagged is a tag where it is copied from.
type Tagged struct {
	Digest digest.Digest // of the manifest that it names; "" where what it has named is copied as well
	Pushed time.Time
}

// Copy brings tags to a store, and notes when they were pushed. Whoever makes one has the store's lock.
type Copy struct {
	store *Store
	began map[string]map[string]copied

	mutex sync.Mutex
}

type copied struct {
	Tagged
	made   bool // its link has been written, by this copy or by one that was interrupted
	before push // what was noted of it
}

// NewCopy returns a copy that has no tags, yet.
func NewCopy(s *Store) *Copy { return &Copy{store: s, began: map[string]map[string]copied{}} }

// Begin notes the tags of a repository that may be copied, before the first of them is. If there is
// no End, the order of the repository's tags is unsure until the next copy.
func (c *Copy) Begin(ctx context.Context, repository string, tags map[string]Tagged) error {
	noted, err := readPushes(ctx, c.store, repository)
	if err != nil {
		return err
	}
	if noted == nil {
		noted = map[string]push{}
	}
	began := map[string]copied{}
	for tag, one := range noted {
		if one.Copied.IsZero() {
			began[tag] = copied{Tagged: Tagged{Pushed: one.Pushed}, made: true}
		}
	}
	if len(tags)+len(began) == 0 {
		return nil
	}
	for tag, one := range tags {
		began[tag] = copied{one, began[tag].made, noted[tag]}
		noted[tag] = push{Pushed: one.Pushed}
	}
	c.began[repository] = began
	return writePushes(ctx, c.store, repository, noted)
}

// Made says that the link of a tag has been written. Several may say so at once.
func (c *Copy) Made(repository, tag string) { c.mark(repository, tag, true) }

// Kept says that a tag stays as it is, since somebody else has pushed it.
func (c *Copy) Kept(repository, tag string) { c.mark(repository, tag, false) }

func (c *Copy) mark(repository, tag string, made bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if one, ok := c.began[repository][tag]; ok {
		one.made = made
		c.began[repository][tag] = one
	}
}

// End notes when the tags were pushed that have been copied, by what a listing shows of them now.
func (c *Copy) End(ctx context.Context) error {
	for repository, began := range c.began {
		if err := c.end(ctx, repository, began); err != nil {
			return fmt.Errorf("%s: %w", repository, err)
		}
	}
	return nil
}

func (c *Copy) end(ctx context.Context, repository string, began map[string]copied) error {
	noted, err := readPushes(ctx, c.store, repository)
	if err != nil {
		return err
	}
	tags, err := tagsOf(ctx, c.store, repository)
	if err != nil {
		return err
	}
	final := map[string]push{}
	for tag, files := range tags {
		one, ok := began[tag]
		if !ok {
			one.before = noted[tag]
		}
		switch {
		case files.Link.IsZero():
		case one.made && !files.pushedSince(one.Digest):
			final[tag] = push{one.Pushed.UTC(), files.Youngest.UTC()}
		case !one.made && one.before.holds(files.Youngest):
			final[tag] = one.before
		}
	}
	return writePushes(ctx, c.store, repository, final)
}

// tagFiles is when the files of a tag were written.
type tagFiles struct {
	Written
	history map[digest.Digest]time.Time
}

// pushedSince returns whether the tag was pushed after its link was made to name a manifest. A push writes
// its part of the history first, and the times of an object store are in seconds.
func (f tagFiles) pushedSince(named digest.Digest) bool {
	for d, changed := range f.history {
		if named != "" && d != named && !changed.Before(f.Link) {
			return true
		}
	}
	return false
}

// tagsOf returns the files of a repository's tags.
func tagsOf(ctx context.Context, s *Store, repository string) (map[string]*tagFiles, error) {
	tags := map[string]*tagFiles{}
	below := path.Join("repositories", repository, "_manifests/tags")
	err := s.Entries(ctx, Root, below, func(e Stored) {
		one := tags[e.Tag]
		if one == nil {
			one = &tagFiles{history: map[digest.Digest]time.Time{}}
			tags[e.Tag] = one
		}
		one.Add(e)
		if e.Kind == History {
			one.history[e.Digest] = e.Changed
		}
	})
	return tags, err
}

// KeepPush is called after the link of a tag has been copied: if the tag has a history meanwhile that isn't
// known, a client has pushed it at the same time. Then the tag names what was pushed, which it returns.
func (s *Store) KeepPush(
	ctx context.Context, repository, tag string, known func(digest.Digest) bool,
) (pushed digest.Digest, err error) {
	link := Entry{Kind: Current, Repository: repository, Tag: tag}
	var last time.Time
	err = s.Entries(ctx, Root, path.Dir(link.Folder())+"/index", func(e Stored) {
		if !known(e.Digest) && e.Changed.After(last) {
			pushed, last = e.Digest, e.Changed
		}
	})
	if err != nil || pushed == "" {
		return "", err
	}
	return pushed, s.PutContent(ctx, Root+"/"+link.File(), []byte(pushed))
}

// PushTimes returns when the tags of a store were pushed, by repository and tag.
func (s *Store) PushTimes(ctx context.Context) (map[string]map[string]time.Time, error) {
	names, err := s.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	times := map[string]map[string]time.Time{}
	for _, repository := range names {
		pushes, err := s.Pushes(ctx, repository)
		if err != nil {
			return nil, err
		}
		tags, err := tagsOf(ctx, s, repository)
		if err != nil {
			return nil, err
		}
		of := map[string]time.Time{}
		for tag, files := range tags {
			if !files.Link.IsZero() {
				of[tag] = pushes.When(repository, tag, files.Written).UTC()
			}
		}
		times[repository] = of
	}
	return times, nil
}

// NotePushes notes at a copy of a whole store when its tags were pushed, by the PushTimes of what it is a
// copy of. It comes after the last tag has been copied, and before anybody pushes.
func (s *Store) NotePushes(ctx context.Context, times map[string]map[string]time.Time) error {
	for repository, pushed := range times {
		tags, err := tagsOf(ctx, s, repository)
		if err != nil {
			return err
		}
		noted := map[string]push{}
		for tag, files := range tags {
			if when, ok := pushed[tag]; ok && !files.Link.IsZero() {
				noted[tag] = push{when.UTC(), files.Youngest.UTC()}
			}
		}
		if err := writePushes(ctx, s, repository, noted); err != nil {
			return err
		}
	}
	return nil
}
