package storage_test

import (
	"context"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// on runs a test on files and in memory.
func on(t *testing.T, test func(*registrytest.Tree)) {
	files := filesystem.New(filesystem.DriverParameters{RootDirectory: t.TempDir(), MaxThreads: 100})
	for name, d := range map[string]driver.StorageDriver{"files": files, "memory": inmemory.New()} {
		t.Run(name, func(t *testing.T) {
			test(&registrytest.Tree{T: t, Store: &storage.Store{StorageDriver: d, Now: time.Now}})
		})
	}
}

var longAgo = time.Date(2020, 2, 29, 0, 0, 0, 1, time.UTC)

// when returns when a tag was pushed, and fails unless its repository is as sure as wanted.
func when(t *registrytest.Tree, repository, tag string, sure bool) time.Time {
	t.Helper()
	ctx := context.Background()
	var link, youngest time.Time
	err := t.Entries(ctx, storage.Root, "repositories/"+repository, func(e storage.Stored) {
		if e.Tag == tag && e.Kind == storage.Current {
			link = e.Changed
		}
		if e.Tag == tag && e.Changed.After(youngest) {
			youngest = e.Changed
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	for _, name := range []string{repository, ""} {
		pushes, err := t.Pushes(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if pushes.Unsure(repository) == sure {
			t.Errorf("%s of %q: sure is %v", repository, name, !sure)
		}
		times = append(times, pushes.When(repository, tag, storage.Written{Link: link, Youngest: youngest}))
	}
	if !times[0].Equal(times[1]) {
		t.Errorf("%s:%s was pushed at %v", repository, tag, times)
	}
	return times[0]
}

func TestACopiedTagIsAsOldAsItsPush(t *testing.T) {
	on(t, func(tree *registrytest.Tree) {
		ctx, d := context.Background(), digest.FromString("a")
		tree.Tag("team/app", "own", d)
		c := storage.NewCopy(tree.Store)
		tags := map[string]storage.Tagged{}
		for _, tag := range []string{"old", "other", "again", "kept", "racing"} {
			tags[tag] = storage.Tagged{Digest: d, Pushed: longAgo}
		}
		if err := c.Begin(ctx, "team/app", tags); err != nil {
			tree.Fatal(err)
		}
		when(tree, "team/app", "old", false)
		for tag := range tags {
			tree.Tag("team/app", tag, d)
			c.Made("team/app", tag)
		}
		c.Kept("team/app", "kept")
		tree.Tag("team/app", "racing", digest.FromString("b"))
		tree.Tag("team/app", "racing", d) // which the link named once more
		tree.Link(storage.Entry{
			Kind: storage.History, Repository: "team/app", Tag: "racing", Digest: digest.FromString("b"),
		})
		if err := c.End(ctx); err != nil {
			tree.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		tree.Tag("team/app", "again", d)
		for tag, copied := range map[string]bool{
			"old": true, "other": true, "again": false, "kept": false, "own": false, "racing": false,
		} {
			if at := when(tree, "team/app", tag, true); at.Equal(longAgo) != copied {
				tree.Errorf("%s was pushed at %v", tag, at)
			}
		}

		// Another copy of one of them, which ends before anything is copied, leaves the times as they are.
		c = storage.NewCopy(tree.Store)
		for _, err := range []error{c.Begin(ctx, "team/app", map[string]storage.Tagged{"old": {}}), c.End(ctx)} {
			if err != nil {
				tree.Error(err)
			}
		}
		for _, tag := range []string{"old", "other"} {
			if at := when(tree, "team/app", tag, true); !at.Equal(longAgo) {
				tree.Errorf("%s was pushed at %v, after a copy of nothing", tag, at)
			}
		}
	})
}

func TestACopyOfAWholeStoreKnowsWhenItsTagsWerePushed(t *testing.T) {
	on(t, func(tree *registrytest.Tree) {
		ctx, d := context.Background(), digest.FromString("a")
		c := storage.NewCopy(tree.Store)
		err := c.Begin(ctx, "team/app", map[string]storage.Tagged{"copied": {Digest: d, Pushed: longAgo}})
		if err != nil {
			tree.Fatal(err)
		}
		tree.Tag("team/app", "copied", d)
		tree.Tag("team/app", "pushed", d)
		c.Made("team/app", "copied")
		if err := c.End(ctx); err != nil {
			tree.Fatal(err)
		}
		into := &registrytest.Tree{T: tree.T, Store: &storage.Store{StorageDriver: inmemory.New(), Now: time.Now}}
		for _, tag := range []string{"copied", "pushed"} {
			into.Tag("team/app", tag, d)
		}
		times, err := tree.PushTimes(ctx)
		if err != nil {
			tree.Fatal(err)
		}
		if err := into.NotePushes(ctx, times); err != nil {
			tree.Fatal(err)
		}
		for _, tag := range []string{"copied", "pushed"} {
			if from, to := when(tree, "team/app", tag, true), when(into, "team/app", tag, true); !from.Equal(to) {
				tree.Errorf("%s was pushed at %v, of a copy at %v", tag, from, to)
			}
		}
	})
}

func TestACopyThatIsInterruptedLeavesTheOrderUnsureUntilTheNext(t *testing.T) {
	on(t, func(tree *registrytest.Tree) {
		ctx, d := context.Background(), digest.FromString("a")
		tags := map[string]storage.Tagged{"one": {Digest: d, Pushed: longAgo}, "two": {Digest: d, Pushed: longAgo}}
		if err := storage.NewCopy(tree.Store).Begin(ctx, "app", tags); err != nil {
			tree.Fatal(err)
		}
		tree.Tag("app", "one", d)
		when(tree, "app", "one", false)
		c := storage.NewCopy(tree.Store)
		delete(tags, "one") // it is there
		if err := c.Begin(ctx, "app", tags); err != nil {
			tree.Fatal(err)
		}
		tree.Tag("app", "two", d)
		c.Made("app", "two")
		if err := c.End(ctx); err != nil {
			tree.Fatal(err)
		}
		for tag := range map[string]bool{"one": true, "two": true} {
			if at := when(tree, "app", tag, true); !at.Equal(longAgo) {
				tree.Errorf("%s was pushed at %v", tag, at)
			}
		}
	})
}
