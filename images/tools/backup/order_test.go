package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// pushed returns when the tags of a repository were pushed, as its storage shows.
func pushed(t registrytest.Tree, repository string) map[string]time.Time {
	t.Helper()
	ctx, link, youngest := context.Background(), map[string]time.Time{}, map[string]time.Time{}
	err := t.Entries(ctx, storage.Root, "repositories/"+repository+"/_manifests/tags", func(e storage.Stored) {
		if e.Kind == storage.Current {
			link[e.Tag] = e.Changed
		}
		if e.Changed.After(youngest[e.Tag]) {
			youngest[e.Tag] = e.Changed
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	pushes, err := t.Pushes(ctx, repository)
	if err != nil || pushes.Unsure(repository) {
		t.Errorf("unsure: %v", err)
	}
	for tag := range link {
		link[tag] = pushes.When(repository, tag, storage.Written{Link: link[tag], Youngest: youngest[tag]})
	}
	return link
}

func TestARestoredTagIsAsOldAsItsPush(t *testing.T) {
	on(t, func(p *place) {
		image := p.Image("app", p.Layer("app", "a"))
		for _, tag := range []string{"z", "b", "a"} { // not in the order in which they are restored
			p.Tag("app", tag, image)
			time.Sleep(2 * time.Millisecond)
		}
		p.mustBackup()
		wanted, into := pushed(p.Tree, "app"), p.empty()
		own := into.Image("app", into.Layer("app", "own"))
		into.Tag("app", "own", own)
		wanted["own"] = pushed(into, "app")["own"]
		check := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if got := pushed(into, "app"); !maps.EqualFunc(got, wanted, time.Time.Equal) {
				t.Errorf("%s: %v, wanted %v", what, got, wanted)
			}
		}
		check("restored", p.restore(into, "", false))
		check("restored twice", p.restore(into, "", false))
		check("overwritten", p.restore(into, "", true))
		p.Store = into.Store
		p.mustBackup()
		into = p.empty()
		check("restored from a backup of the restored", p.restore(into, "", false))
	})
}

func TestARestoreThatIsInterruptedKeepsTheOrderOfPushes(t *testing.T) {
	for step, done := 0, false; !done; step++ {
		p := newPlace(t, inMemory)
		image := p.Image("app", p.Layer("app", "a"))
		for _, tag := range []string{"z", "b", "a"} {
			p.Tag("app", tag, image)
			time.Sleep(2 * time.Millisecond)
		}
		p.mustBackup()
		wanted, into := pushed(p.Tree, "app"), p.empty()
		writes, memory := 0, into.StorageDriver
		into.StorageDriver = &hooked{StorageDriver: memory, before: func(request, path string) error {
			if request == "put" || request == "move" || request == "delete" {
				if writes++; writes > step {
					return errKilled
				}
			}
			return nil
		}}
		done = p.restore(into, "", false) == nil
		into.StorageDriver = memory
		if err := p.restore(into, "", false); err != nil {
			t.Fatal(err)
		}
		if got := pushed(into, "app"); !maps.EqualFunc(got, wanted, time.Time.Equal) {
			t.Errorf("step %d: %v, wanted %v", step, got, wanted)
		}
	}
}

func TestOfABackupThatDoesNotKnowNoTagIsYounger(t *testing.T) {
	on(t, func(p *place) {
		image := p.Image("app", p.Layer("app", "a"))
		p.Tag("app", "one", image)
		p.Tag("app", "two", image)
		p.mustBackup()
		ctx, g := context.Background(), p.generation()
		app := g.Repositories["app"]
		app.Pushed = nil
		g.Repositories["app"] = app
		if err := p.archive().save(ctx, p.names()[0], g); err != nil {
			t.Fatal(err)
		}
		into := p.empty()
		if err := p.restore(into, "", false); err != nil {
			t.Fatal(err)
		}
		for tag, at := range pushed(into, "app") {
			if !at.Equal(g.Began) {
				t.Errorf("%s was pushed at %v", tag, at)
			}
		}
	})
}

func TestATagThatIsPushedDuringTheBackupIsYoung(t *testing.T) {
	p := newPlace(t, inMemory)
	p.Tag("app", "latest", p.Image("app"))
	var after time.Time
	p.source.before = func(request, path string) error {
		if request == "get" && strings.HasSuffix(path, "latest/current/link") {
			p.source.before = nil
			time.Sleep(5 * time.Millisecond)
			after = time.Now()
			p.Tag("app", "latest", p.Image("app", p.Layer("app", "a")))
		}
		return nil
	}
	p.mustBackup()
	if at := p.generation().Repositories["app"].Pushed["latest"]; at.Before(after) {
		t.Errorf("pushed at %v, after %v", at, after)
	}
}

// A client may push a tag in the moment in which it is restored: what it pushed last stays.
func TestATagThatIsPushedWhileItIsRestoredStays(t *testing.T) {
	for _, moment := range []string{"get", "put"} {
		p := newPlace(t, inMemory)
		p.Tag("app", "latest", p.Image("app", p.Layer("app", "old")))
		p.mustBackup()
		into := p.empty()
		memory := into.StorageDriver
		client := registrytest.Tree{T: t, Store: &storage.Store{StorageDriver: memory, Now: time.Now}}
		link := storage.Entry{Kind: storage.Current, Repository: "app", Tag: "latest"}
		var newer digest.Digest
		into.StorageDriver = &hooked{StorageDriver: memory, before: func(request, path string) error {
			if request == "put" && newer == "" && strings.HasSuffix(path, link.File()) {
				newer = client.Image("app", client.Layer("app", "newer"))
				if moment == "put" { // half of it
					client.Link(storage.Entry{
						Kind: storage.History, Repository: "app", Tag: "latest", Digest: newer,
					})
				} else {
					client.Tag("app", "latest", newer)
				}
			}
			return nil
		}}
		if err := p.restore(into, "", false); err != nil {
			t.Fatal(err)
		}
		p.logs("msg=kept", "latest", newer.String())
		if got := files(client)[link.File()]; newer == "" || got != newer.String() {
			t.Errorf("it names %s, not %s", got, newer)
		}
	}
}

func TestOverwritingReplacesWhatIsCorruptInTheRegistry(t *testing.T) {
	on(t, func(p *place) {
		layer := p.Layer("app", "layer")
		p.Tag("app", "v1", p.Image("app", layer))
		p.mustBackup()
		p.Put(storage.Entry{Kind: storage.Blob, Digest: layer}.File(), "LAYER")
		if err := p.restore(p.Tree, "", true); err != nil {
			t.Fatal(err)
		}
		p.logs("bad in the registry", layer.String())
		whole(p.Tree, "app", "v1")
	})
}

func TestAVerificationNamesWhatTheRegistryLacked(t *testing.T) {
	on(t, func(p *place) {
		layer := p.Layer("app", "layer")
		p.Tag("app", "v1", p.Image("app", layer))
		blob := storage.Entry{Kind: storage.Blob, Digest: layer}
		if err := p.Delete(context.Background(), storage.Root+"/"+blob.File()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.backup(); err == nil {
			t.Error("the backup is whole")
		}
		if err := p.verify(false); err == nil {
			t.Error("the verification finds nothing")
		}
		p.logs("msg=broken", layer.String(), "missing when the backup was made", "app:v1")
		p.Put(blob.File(), "layer") // pushed anew: a later generation has it
		p.mustBackup()
		if err := p.verify(false); err != nil {
			t.Error(err)
		}
		first := slices.Sorted(slices.Values(p.names()))[0]
		into := p.empty()
		if err := p.restore(into, first, false); err != nil {
			t.Error(err)
		}
		whole(into, "app", "v1")
	})
}
