package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func TestWhatNothingNeedsGoesToTheTrashAndIsRemovedLater(t *testing.T) {
	on(t, func(p *place) {
		needed, loose := p.Layer("app", "needed"), p.Layer("app", "loose")
		image := p.Image("app", needed)
		p.Tag("app", "one", image)
		looseLink := storage.Entry{Kind: storage.Layer, Repository: "app", Digest: loose}

		if s := p.mustCollect(); s.gone.blobs != 0 || s.gone.links != 0 {
			t.Errorf("young things went: %+v", s)
		}
		p.later = 2 * day
		if s := p.mustCollect(func(o *options) { o.dryRun = true }); s.gone.blobs != 1 {
			t.Errorf("a dry run counts: %+v", s)
		}
		p.hasBlob("loose after a dry run", loose, true)
		s := p.mustCollect()
		if s.gone.blobs != 1 || s.gone.links != 1 || s.goneBytes != 5 || s.blobs != 2 ||
			s.manifests != 1 || s.repositories != 1 {
			t.Errorf("%+v", s)
		}
		p.hasBlob("needed", needed, true)
		p.hasBlob("image", image, true)
		p.hasBlob("loose", loose, false)
		p.has("link of loose", looseLink, false)

		ctx := context.Background()
		run, err := lastRun(ctx, p.Store, "last")
		if err != nil {
			t.Fatal(err)
		}
		if back, err := undo(ctx, p.Store, run); back != 2 || err != nil {
			t.Errorf("undone: %d, %v", back, err)
		}
		p.hasBlob("loose after undo", loose, true)
		p.has("link of loose after undo", looseLink, true)

		p.later += time.Minute
		p.mustCollect()
		p.later += 6 * day
		if s := p.mustCollect(); s.removed != 0 {
			t.Errorf("removed too early: %+v", s)
		}
		p.later += 2 * day
		if s := p.mustCollect(func(o *options) { o.dryRun = true }); s.removed != 1 {
			t.Errorf("a dry run doesn't say what would be removed: %+v", s)
		}
		if s := p.mustCollect(); s.removed != 1 || s.removedBytes != 5 {
			t.Errorf("not removed: %+v", s)
		}
		if names, _ := runs(ctx, p.Store); len(names) != 0 {
			t.Errorf("still in the trash: %v", names)
		}
	})
}

func TestAYoungLinkKeepsAnOldBlob(t *testing.T) {
	p := onFiles(t)
	loose := p.Layer("app", "loose")
	time.Sleep(1100 * time.Millisecond)
	p.Layer("app", "another")
	p.Link(storage.Entry{Kind: storage.Layer, Repository: "app", Digest: loose})
	p.mustCollect(func(o *options) { o.grace = time.Second })
	p.hasBlob("loose", loose, true)
}

func TestWhatUpstreamStumblesOverIsSkipped(t *testing.T) {
	on(t, func(p *place) {
		needed, old := p.Layer("app", "needed"), p.Layer("app", "of a manifest of old")
		image := p.Image("app", needed)
		p.Tag("app", "one", image)
		child := p.Image("index-only")
		p.Tag("index-only", "one", p.Manifest("index-only", registrytest.Fields{"manifests": registrytest.Named(child)}))
		p.Put(storage.Entry{Kind: storage.Revision, Repository: "app", Digest: digest.FromString("lost")}.File(), "")
		p.Put(storage.Entry{Kind: storage.Layer, Repository: "app", Digest: digest.FromString("lost")}.File(), "")
		p.Put(storage.Entry{Kind: storage.Current, Repository: "app", Tag: "empty"}.File(), "")
		p.Put("repositories/app/_manifests/revisions/sha256/nonsense/link", "")
		p.Put("repositories/Upper_Case/_layers/sha256/nonsense/link", "")
		if p.folder != "" { // no driver makes such a name
			strange := p.folder + storage.Root + "/repositories/lost+found"
			if err := os.MkdirAll(strange, 0o700); err != nil {
				p.Fatal(err)
			}
		}
		p.Raw("app", `{"schemaVersion": 1, "fsLayers": [{"blobSum": "`+old.String()+`"}]}`)
		strange := p.Layer("app", "of a strange manifest")
		p.Raw("app", `["`+strange.String()+`"]`)
		loose := p.Layer("app", "loose")

		p.later = 2 * day
		p.mustCollect()
		p.hasBlob("layer of a manifest of old", old, true)
		p.hasBlob("layer of a strange manifest", strange, true)
		p.hasBlob("loose", loose, false)
		p.later += time.Minute
		p.mustCollect(untagged())
		p.hasBlob("needed", needed, true)
		p.hasBlob("image", image, true)
		p.hasBlob("child", child, true)
		p.hasBlob("layer of a manifest of old", old, false)
	})
}

func TestUntaggedManifestsGoOnlyWhenNothingKeepsThem(t *testing.T) {
	on(t, func(p *place) {
		shared := p.Layer("app", "shared")
		mine := func(name string) digest.Digest { return p.Image("app", shared, p.Layer("app", name)) }
		child, lone, pinned, overwritten := mine("child"), mine("lone"), mine("pinned"), mine("overwritten")
		index := p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(child)})
		p.Tag("app", "latest", overwritten)
		p.Tag("app", "latest", index)
		refers := func(kind string, subject digest.Digest) digest.Digest {
			return p.Manifest("app", registrytest.Fields{
				"kind": kind, "subject": registrytest.Fields{"digest": subject},
				"layers": registrytest.Named(p.Layer("app", kind)),
			})
		}
		signature := refers("signature", child)
		ofSignature := refers("signature of the signature", signature)
		ofPinned, ofLone := refers("signature of pinned", pinned), refers("signature of lone", lone)
		attached := mine("attached")
		p.Tag("app", "sha256-"+child.Encoded(), p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(attached)}))

		p.later = 2 * day
		s := p.mustCollect(untagged(pinned))
		for what, d := range map[string]digest.Digest{
			"index": index, "child": child, "pinned": pinned, "signature": signature,
			"signature of the signature": ofSignature, "signature of pinned": ofPinned,
			"attached": attached,
		} {
			p.has(what, storage.Entry{Kind: storage.Revision, Repository: "app", Digest: d}, true)
			p.hasBlob(what, d, true)
		}
		for what, d := range map[string]digest.Digest{
			"lone": lone, "overwritten": overwritten, "signature of lone": ofLone,
		} {
			p.has(what, storage.Entry{Kind: storage.Revision, Repository: "app", Digest: d}, false)
			p.hasBlob(what, d, false)
		}
		for name, wanted := range map[string]bool{
			"shared": true, "child": true, "pinned": true, "signature": true, "attached": true,
			"lone": false, "overwritten": false, "signature of lone": false,
		} {
			p.hasBlob("layer of "+name, digest.FromString(name), wanted)
		}
		stale := storage.Entry{Kind: storage.History, Repository: "app", Tag: "latest", Digest: overwritten}
		p.has("the tag's history", stale, false)
		if s.gone.manifests != 3 {
			t.Errorf("%+v", s)
		}
		// Pushed again, tagged, and collected by a run that lets untagged manifests be.
		p.later += time.Minute
		p.Tag("app", "again", lone)
		p.mustCollect()
		p.has("lone, tagged", storage.Entry{Kind: storage.Revision, Repository: "app", Digest: lone}, true)
		p.hasBlob("layer of lone, tagged", digest.FromString("lone"), true)
		p.has("link of its layer",
			storage.Entry{Kind: storage.Layer, Repository: "app", Digest: digest.FromString("lone")}, true)
	})
}

func TestAPushDuringTheRunIsComplete(t *testing.T) {
	on(t, func(p *place) {
		loose := p.Layer("app", "loose")
		p.Layer("app", "other")
		p.later = 2 * day
		var once sync.Once
		var pushed digest.Digest
		p.hook = func(from string) error { // a client saw the layer just before
			once.Do(func() { pushed = p.Image("app", loose) })
			return nil
		}
		s := p.mustCollect()
		p.hasBlob("manifest", pushed, true)
		p.hasBlob("layer", loose, true)
		p.has("link", storage.Entry{Kind: storage.Layer, Repository: "app", Digest: loose}, true)
		p.hasBlob("other", digest.FromString("other"), false)
		if s.back != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// The manifest's link and the tag's history go in the moment in which a push writes them anew.
func TestATagThatIsPushedAgainWhileItsManifestGoesIsComplete(t *testing.T) {
	on(t, func(p *place) {
		old := p.Image("app", p.Layer("app", "old"))
		p.Tag("app", "t", old)
		p.Tag("app", "t", p.Image("app", p.Layer("app", "new")))
		time.Sleep(1100 * time.Millisecond)
		p.hook = func(from string) error {
			if strings.Contains(from, "/revisions/") {
				p.Link(storage.Entry{Kind: storage.Revision, Repository: "app", Digest: old})
			} else if strings.Contains(from, "/index/") {
				p.Tag("app", "t", old)
			}
			return nil
		}
		p.mustCollect(untagged(), func(o *options) { o.grace = time.Second })
		p.has("manifest", storage.Entry{Kind: storage.Revision, Repository: "app", Digest: old}, true)
		p.hasBlob("manifest", old, true)
		p.hasBlob("layer", digest.FromString("old"), true)
	})
}

var errKilled = errors.New("killed")

func TestARunThatIsKilledAnywhereLosesNothing(t *testing.T) {
	for step := 0; ; step++ {
		moves := 0
		on(t, func(p *place) {
			needed := p.Layer("app", "needed")
			p.Tag("app", "one", p.Image("app", needed))
			var loose []digest.Digest
			for i := range 4 {
				loose = append(loose, p.Layer("app", fmt.Sprint("loose ", i)))
			}
			used := loose[step%4]
			p.later = 2 * day
			moves = 0
			var mutex sync.Mutex
			p.hook = func(string) error {
				mutex.Lock()
				defer mutex.Unlock()
				if moves == 0 {
					p.Image("app", used)
				}
				if moves++; moves > step {
					return errKilled
				}
				return nil
			}
			_, err := p.collect()
			if (err != nil) != (moves > step) {
				t.Fatalf("killed before move %d of %d: %v", step, moves, err)
			}
			p.hook = nil
			p.later += time.Minute
			p.mustCollect()
			p.hasBlob("needed", needed, true)
			for _, d := range loose {
				p.hasBlob("loose", d, d == used)
				p.has("link of loose", storage.Entry{Kind: storage.Layer, Repository: "app", Digest: d}, d == used)
			}
		})
		if moves <= step {
			break
		}
	}
}

func TestASignalEndsARunAtASafePoint(t *testing.T) {
	on(t, func(p *place) {
		for i := range 40 {
			p.Layer("app", fmt.Sprint("loose ", i))
		}
		p.later = 2 * day
		ctx, stop := context.WithCancel(context.Background())
		p.hook = func(string) error { stop(); return nil }
		s, err := p.collectUntil(ctx)
		if err != nil || !s.interrupted {
			t.Errorf("%+v, %v", s, err)
		}
		p.hook = nil
		p.later += time.Minute
		if rest := p.mustCollect(); rest.gone.blobs+s.gone.blobs != 40 || rest.gone.blobs == 0 {
			t.Errorf("%+v after %+v", rest, s)
		}
	})
}

func TestAStoreWithoutRepositoriesIsLeftAlone(t *testing.T) {
	on(t, func(p *place) {
		p.Put(storage.Entry{Kind: storage.Blob, Digest: digest.FromString("a")}.File(), "a")
		p.later = 2 * day
		if _, err := p.collect(); err == nil {
			t.Error("not refused")
		}
		p.hasBlob("a", digest.FromString("a"), true)
	})
	on(t, func(p *place) { p.mustCollect() }) // an empty one is in order
}
