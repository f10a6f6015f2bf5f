package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func TestARestoredRegistryIsTheSame(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		p.mustBackup()
		if p.generation().Repositories["app"].Tags["_uploads"] == "" {
			t.Error("a tag of a strange name is left out")
		}
		if err := p.verify(false); err != nil {
			t.Error(err)
		}
		into := p.empty()
		if err := p.restore(into, "last", false); err != nil {
			t.Fatal(err, p.log.String())
		}
		wanted, restored := files(p.Tree), files(into)
		for file, content := range wanted {
			if got, ok := restored[file]; !ok || got != content {
				t.Errorf("%s isn't restored: %v", file, ok)
			}
		}
		for file := range restored {
			if _, ok := wanted[file]; !ok {
				t.Errorf("%s is new", file)
			}
		}
		for where, store := range map[string]content{"archive": p.archive().content, "registry": ofRegistry(into.Store)} {
			if _, err := store.Stat(context.Background(), store.partial); !storage.Missing(err) {
				t.Errorf("the %s has something half: %v", where, err)
			}
		}
		before := p.log.Len()
		if err := p.restore(into, "last", false); err != nil {
			t.Error(err)
		}
		if again := p.log.String()[before:]; !strings.Contains(again, "tags_restored=0 tags_kept=0 blobs_copied=0") {
			t.Errorf("restored twice: %s", again)
		}
	})
}

func TestNothingNewCopiesNothing(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		first := p.mustBackup()
		if first.report.BlobsCopied == 0 || first.report.BytesCopied < int64(storage.SmallFile) {
			t.Errorf("%+v", first)
		}
		p.target.before = func(request, path string) error {
			if request == "put" && strings.HasPrefix(path, "/blobs/") {
				t.Errorf("%s is written again", path)
			}
			return nil
		}
		p.source.before = func(request, path string) error {
			if request == "get" && strings.HasSuffix(path, "/data") {
				t.Errorf("%s is read again", path)
			}
			return nil
		}
		if second := p.mustBackup(); second.report.BlobsCopied != 0 || second.report.New {
			t.Errorf("%+v", second)
		}
		if names := p.names(); len(names) != 1 {
			t.Errorf("a generation of the same: %v", names)
		}
	})
}

func TestGenerationsShareBlobsAndOldOnesGo(t *testing.T) {
	on(t, func(p *place) {
		shared := p.Layer("app", "shared")
		images := []digest.Digest{}
		for i := range 4 {
			if i > 0 {
				previous := storage.Entry{Kind: storage.Revision, Repository: "app", Digest: images[i-1]}
				if err := p.Delete(context.Background(), storage.Root+"/"+previous.Folder()); err != nil {
					t.Fatal(err)
				}
			}
			images = append(images, p.Image("app", shared, p.Layer("app", fmt.Sprint("layer ", i))))
			p.Tag("app", "latest", images[i])
			b := p.mustBackup(func(o *options) { o.keep = 2 })
			if wanted := 2 + max(0, 1-i); b.report.BlobsCopied != wanted {
				t.Errorf("run %d copied %d blobs, not %d", i, b.report.BlobsCopied, wanted)
			}
		}
		names := p.names()
		if len(names) != 2 {
			t.Fatalf("%v", names)
		}
		sizes, err := p.archive().sizes(context.Background())
		if err != nil || len(sizes) != 5 { // two images of two, and what they share
			t.Errorf("%d blobs, %v", len(sizes), err)
		}
		for i, name := range names {
			into := p.empty()
			if err := p.restore(into, name, false); err != nil {
				t.Error(err)
			}
			link := storage.Entry{Kind: storage.Current, Repository: "app", Tag: "latest"}
			if got := files(into)[link.File()]; got != images[2+i].String() {
				t.Errorf("generation %d has %s", i, got)
			}
		}
	})
}

func TestARunThatIsInterruptedAnywhereCompletesLater(t *testing.T) {
	for step, done := 0, false; !done; step++ {
		on(t, func(p *place) {
			p.fill()
			p.mustBackup()
			old := p.names()
			p.Tag("app", "new", p.Image("app", p.Layer("app", "new"), p.Layer("app", "newer")))
			var mutex sync.Mutex
			writes := 0
			p.target.before = func(request, path string) error {
				mutex.Lock()
				defer mutex.Unlock()
				if request == "put" || request == "move" || request == "delete" {
					if writes++; writes > step {
						return errKilled
					}
				}
				return nil
			}
			_, err := p.backup(func(o *options) { o.keep = 1 })
			done = err == nil
			p.target.before = nil
			for _, name := range p.names() { // those that are there are whole
				if err := p.restore(p.empty(), name, false); err != nil {
					t.Errorf("step %d: %v", step, err)
				}
			}
			if len(p.names()) == 0 {
				t.Errorf("step %d: %v has gone", step, old)
			}
			p.mustBackup(func(o *options) { o.keep = 1 })
			if _, ok := p.generation().Repositories["app"].Tags["new"]; !ok {
				t.Errorf("step %d: incomplete", step)
			}
			if err := p.verify(false); err != nil {
				t.Errorf("step %d: %v", step, err)
			}
		})
	}
}

func TestATagOfAnyMomentIsComplete(t *testing.T) {
	for step, last := 0, false; !last; step++ {
		last = true
		t.Run(fmt.Sprint("request ", step), func(t *testing.T) {
			p := newPlace(t, inMemory)
			p.Tag("app", "v1", p.Image("app", p.Layer("app", "a")))
			client := registrytest.Tree{
				T: t, Store: &storage.Store{StorageDriver: p.source.StorageDriver, Now: time.Now},
			}
			var mutex sync.Mutex
			requests := 0
			p.source.before = func(string, string) error {
				mutex.Lock()
				defer mutex.Unlock()
				if requests++; requests != step+1 {
					return nil
				}
				last = false
				for _, repository := range []string{"app", "another"} {
					child := client.Image(repository, client.Layer(repository, "pushed"))
					client.Tag(repository, "during", client.Manifest(repository, registrytest.Fields{
						"manifests": registrytest.Named(child),
					}))
				}
				return nil
			}
			p.mustBackup()
			p.source.before = nil
			into := p.empty()
			if err := p.restore(into, "", false); err != nil {
				t.Error(err)
			}
			for name, r := range p.generation().Repositories {
				for tag := range r.Tags {
					whole(into, name, tag)
				}
			}
			if tags := p.generation().Repositories["app"].Tags; tags["v1"] == "" {
				t.Errorf("step %d: %v", step, tags)
			}
		})
	}
}

func TestALivingRegistryKeepsItsTagsUnlessTheyAreToBeOverwritten(t *testing.T) {
	on(t, func(p *place) {
		old := p.Image("app", p.Layer("app", "old"))
		p.Tag("app", "latest", old)
		p.Tag("app", "gone", old)
		p.mustBackup()
		into := p.empty()
		newer := into.Image("app", into.Layer("app", "newer"))
		into.Tag("app", "latest", newer)
		into.Tag("app", "other", newer)
		if err := p.restore(into, "", false); err != nil {
			t.Error(err)
		}
		p.logs("msg=kept", "app", "latest", newer.String(), old.String())
		expect := func(tags map[string]digest.Digest) {
			t.Helper()
			all := files(into)
			for tag, d := range tags {
				link := storage.Entry{Kind: storage.Current, Repository: "app", Tag: tag}
				if all[link.File()] != d.String() {
					t.Errorf("%s is %s", tag, all[link.File()])
				}
				whole(into, "app", tag)
			}
		}
		expect(map[string]digest.Digest{"latest": newer, "other": newer, "gone": old})
		if err := p.restore(into, "", true); err != nil {
			t.Error(err)
		}
		expect(map[string]digest.Digest{"latest": old, "other": newer, "gone": old})
	})
}

func FuzzDecode(f *testing.F) {
	g := &generation{Format: format, Repositories: map[string]repository{"a": {}}}
	content, err := g.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Fuzz(func(t *testing.T, content []byte) {
		if g, err := decode(content); err == nil && g.Format != format {
			t.Errorf("%s is taken", content)
		}
	})
}
