package main

import (
	"cmp"
	"context"
	"encoding/json"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// pushTimes is the name of the file in which a run keeps when the tags of a repository were pushed that
// it put aside: object stores forget it when they move a file.
const pushTimes = "_pushed.json"

func pushTimesFile(run, repository string) string {
	return path.Join(storage.Trash, run, asideTags, "repositories", repository, pushTimes)
}

// readPushTimes returns when the tags of a repository were pushed that a run put aside.
func readPushTimes(
	ctx context.Context, s *storage.Store, run, repository string,
) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	content, err := s.GetContent(ctx, pushTimesFile(run, repository))
	if storage.Missing(err) {
		return times, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &times)
	}
	return times, err
}

// notePushes keeps when tags were pushed that are about to be put aside.
func (c *collector) notePushes(ctx context.Context, repository string, tags []candidate) error {
	if len(tags) == 0 {
		return nil
	}
	times, err := readPushTimes(ctx, c.store, c.summary.run, repository)
	if err != nil {
		return err
	}
	for _, t := range tags {
		times[t.name] = t.pushed.UTC()
	}
	content, err := json.Marshal(times)
	if err != nil {
		return err
	}
	return c.store.PutContent(ctx, pushTimesFile(c.summary.run, repository), content)
}

// undoTags brings back the tags that a run put aside, and returns how many, and how many can't be, for
// lack of the manifest that they name. A tag that has been pushed anew stays as it is.
func undoTags(ctx context.Context, s *storage.Store, run string) (back, lost int, err error) {
	aside := run + "/" + asideTags
	tags := map[[2]string][]storage.Stored{}
	err = s.Entries(ctx, storage.Trash+"/"+aside, "", func(e storage.Stored) {
		key := [2]string{e.Repository, e.Tag}
		tags[key] = append(tags[key], e)
	})
	if err != nil {
		return 0, 0, err
	}
	dated := storage.NewCopy(s)
	if err := datePushes(ctx, s, run, dated); err != nil {
		return 0, 0, err
	}
	for key, files := range tags {
		if err := ctx.Err(); err != nil {
			return back, lost, err
		}
		whole, err := wholeTag(ctx, s, aside, files)
		if err != nil {
			return back, lost, err
		}
		if !whole {
			dated.Kept(key[0], key[1])
			lost++
			continue
		}
		moved, err := bringBackTag(ctx, s, aside, files)
		if err != nil {
			return back, lost, err
		}
		if moved {
			dated.Made(key[0], key[1])
			back++
		} else {
			dated.Kept(key[0], key[1])
		}
	}
	return back, lost, dated.End(ctx)
}

// datePushes begins the copy of what a run put aside, with the times of the pushes.
func datePushes(ctx context.Context, s *storage.Store, run string, dated *storage.Copy) error {
	folder := path.Dir(path.Dir(pushTimesFile(run, "any")))
	names, err := s.NotedBelow(ctx, folder, pushTimes)
	if err != nil {
		return err
	}
	for _, repository := range names {
		times, err := readPushTimes(ctx, s, run, repository)
		if err != nil {
			return err
		}
		tags := map[string]storage.Tagged{}
		for tagName, pushed := range times {
			tags[tagName] = storage.Tagged{Pushed: pushed}
		}
		if err := dated.Begin(ctx, repository, tags); err != nil {
			return err
		}
	}
	return nil
}

// wholeTag returns whether the manifest is there that a tag in the trash names, or the tag itself, or
// whether it names none.
func wholeTag(ctx context.Context, s *storage.Store, run string, files []storage.Stored) (bool, error) {
	for _, one := range files {
		if one.Kind != storage.Current {
			continue
		}
		content, err := s.GetContent(ctx, trashed{one, run}.File())
		if err != nil {
			return false, err
		}
		d := digest.Digest(content)
		if d.Validate() != nil {
			return true, nil
		}
		named := storage.Entry{Kind: storage.Revision, Repository: one.Repository, Digest: d}
		for _, place := range []storage.Entry{one.Entry, named} {
			if _, err := s.Stat(ctx, storage.Root+"/"+place.File()); !storage.Missing(err) {
				return err == nil, err
			}
		}
		return false, nil
	}
	return true, nil
}

// bringBackTag moves the files of a tag from the trash to the tree, the current link last, unless the
// tag has been pushed anew, and returns whether it did.
func bringBackTag(ctx context.Context, s *storage.Store, run string, files []storage.Stored) (bool, error) {
	slices.SortFunc(files, func(a, b storage.Stored) int { return cmp.Compare(b.Kind, a.Kind) })
	before, err := tagFiles(ctx, s, storage.Root, files[0].Repository, files[0].Tag)
	if err != nil {
		return false, err
	}
	known := storage.Digests{}
	for _, one := range slices.Concat(before, files) {
		known.Add(one.Digest)
	}
	for _, one := range files {
		link := storage.Entry{Kind: storage.Current, Repository: one.Repository, Tag: one.Tag}
		if _, err := s.Stat(ctx, storage.Root+"/"+link.File()); !storage.Missing(err) {
			return false, err
		}
		moved, err := bringBack(ctx, s, trashed{one, run})
		if err != nil {
			return false, err
		}
		if moved && one.Kind == storage.Current {
			_, err := s.KeepPush(ctx, one.Repository, one.Tag, known.Has)
			return true, err
		}
	}
	return false, nil
}
