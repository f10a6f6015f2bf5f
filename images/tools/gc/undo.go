package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"registry.local/images/tools/storage"
)

// undo brings back all that a run put aside, and returns how many entries and tags.
func undo(ctx context.Context, s *storage.Store, run string) (int, error) {
	var all []trashed
	err := s.Entries(ctx, storage.Trash+"/"+run, "", func(e storage.Stored) {
		all = append(all, trashed{e, run})
	})
	if err != nil {
		return 0, err
	}
	// What is referred to first: nothing is there before what it needs.
	sort.SliceStable(all, func(i, j int) bool { return all[i].Kind < all[j].Kind })
	back := 0
	for _, t := range all {
		if err := ctx.Err(); err != nil {
			return back, err
		}
		moved, err := bringBack(ctx, s, t)
		if err != nil {
			return back, err
		}
		if moved {
			back++
		}
	}
	tags, lost, err := undoTags(ctx, s, run)
	back += tags
	switch {
	case err != nil:
		return back, err
	case lost > 0:
		return back, fmt.Errorf("%d tags can't come back, since a later run put aside the manifests "+
			"that they name: undo that run first", lost)
	}
	// What is left is in the tree as well.
	if err := s.Delete(ctx, storage.Trash+"/"+run); err != nil && !storage.Missing(err) {
		return back, err
	}
	return back, nil
}

// lastRun returns the name of a run in the trash; "last" is the newest.
func lastRun(ctx context.Context, s *storage.Store, name string) (string, error) {
	names, err := runs(ctx, s)
	if err != nil {
		return "", err
	}
	for i := len(names) - 1; i >= 0; i-- {
		if name == "last" || names[i] == name {
			return names[i], nil
		}
	}
	if len(names) == 0 {
		return "", errors.New("the trash is empty: no run can be undone")
	}
	return "", fmt.Errorf("no run %s in the trash: it has %s", name, strings.Join(names, ", "))
}
