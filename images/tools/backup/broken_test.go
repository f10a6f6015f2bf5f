package main

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func TestAFlippedByteIsFoundAndNamed(t *testing.T) {
	for what, of := range map[string]func(layer, child digest.Digest) digest.Digest{
		"layer":    func(layer, _ digest.Digest) digest.Digest { return layer },
		"manifest": func(_, child digest.Digest) digest.Digest { return child },
	} {
		t.Run(what, func(t *testing.T) {
			on(t, func(p *place) {
				p.fill()
				layer := p.Layer("app", "to be broken")
				child := p.Image("app", layer)
				p.Tag("app", "broken", p.Manifest("app", registrytest.Fields{
					"manifests": registrytest.Named(child),
				}))
				p.mustBackup()
				d := of(layer, child)
				p.flip(d)
				if err := p.verify(false); err == nil {
					t.Error("not found")
				}
				p.logs("level=ERROR", d.String(), corrupt, "app:broken", "app@"+child.String())
				if strings.Contains(p.log.String(), "app:v1") {
					t.Errorf("too much is named: %s", p.log.String())
				}
				into := p.empty()
				if err := p.restore(into, "", false); err == nil {
					t.Error("restored")
				}
				p.logs("not restored", d.String(), "app:broken")
				restored := files(into)
				for tag, wanted := range map[string]bool{"v1": true, "multi": true, "broken": false} {
					link := storage.Entry{Kind: storage.Current, Repository: "app", Tag: tag}
					if _, ok := restored[link.File()]; ok != wanted {
						t.Errorf("%s is restored: %v", tag, ok)
					}
				}
				if err := p.verify(true); err == nil {
					t.Error("not found")
				}
				if b := p.mustBackup(); b.report.BlobsCopied != 1 {
					t.Errorf("%d blobs were copied anew", b.report.BlobsCopied)
				}
				if err := p.verify(false); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWhatIsMissingOrCutShortIsCopiedAnew(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		p.mustBackup()
		ctx, gone, short := context.Background(), digest.FromString("shared"), digest.FromString("of a child")
		if err := p.target.Delete(ctx, archivedBlob(gone)); err != nil {
			t.Fatal(err)
		}
		if err := p.target.PutContent(ctx, archivedBlob(short), []byte("of")); err != nil {
			t.Fatal(err)
		}
		if err := p.verify(false); err == nil {
			t.Error("not found")
		}
		p.logs(gone.String(), absent, "app:v1", "team/other:v1")
		p.logs(short.String(), corrupt, "app:multi")
		if b := p.mustBackup(); b.report.BlobsCopied != 2 {
			t.Errorf("%d blobs", b.report.BlobsCopied)
		}
		if err := p.verify(false); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsBrokenInTheRegistryIsNamedAndTheRestIsCopied(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		lost, wrong := p.Layer("app", "lost"), p.Layer("app", "wrong")
		p.Tag("app", "lost", p.Image("app", lost))
		p.Tag("app", "wrong", p.Image("app", wrong))
		nothing := digest.FromString("never pushed")
		p.Tag("app", "nothing", nothing)
		ctx := context.Background()
		blob := func(d digest.Digest) string { return storage.Entry{Kind: storage.Blob, Digest: d}.File() }
		if err := p.Delete(ctx, storage.Root+"/"+blob(lost)); err != nil {
			t.Fatal(err)
		}
		p.Put(blob(wrong), "wrang")
		// None of these is broken: a registry takes them as they are.
		other := digest.FromString("of another platform")
		p.Tag("app", "sparse", p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(other)}))
		p.Tag("app", "foreign", p.Manifest("app", registrytest.Fields{"layers": []registrytest.Fields{{
			"digest": other, "urls": []string{"https://example.com/layer"},
		}}}))
		p.Put(storage.Entry{Kind: storage.Current, Repository: "app", Tag: "empty"}.File(), "")
		if _, err := p.backup(); err == nil {
			t.Error("nothing is wrong")
		}
		p.logs("level=ERROR", lost.String(), absent, "[app:lost]")
		p.logs("level=ERROR", wrong.String(), corrupt, "[app:wrong]")
		p.logs("level=ERROR", nothing.String(), absent, "[app:nothing]")
		p.logs("level=WARN", "broken tag", "empty")
		if err := p.verify(false); err == nil || !strings.Contains(err.Error(), "3 blobs") {
			t.Errorf("a backup that lacks something is whole: %v", err)
		}
		into := p.empty()
		if err := p.restore(into, "", false); err == nil {
			t.Error("all is restored")
		}
		p.logs("not restored", lost.String(), "when the backup was made")
		all := files(into)
		for tag, wanted := range map[string]bool{
			"v1": true, "multi": true, "sparse": true, "foreign": true,
			"lost": false, "wrong": false, "nothing": false, "empty": false,
		} {
			link := storage.Entry{Kind: storage.Current, Repository: "app", Tag: tag}
			if _, ok := all[link.File()]; ok != wanted {
				t.Errorf("%s is restored: %v", tag, ok)
			}
		}
		into.Put(blob(lost), "lost") // a registry that has it gets the image all the same
		_ = p.restore(into, "", false)
		whole(into, "app", "lost")
	})
}

func TestARegistryThatHasLostAllIsNotTakenForIt(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		p.mustBackup()
		if err := p.Delete(context.Background(), storage.Root); err != nil {
			t.Fatal(err)
		}
		if _, err := p.backup(); err == nil || !strings.Contains(err.Error(), "--empty") {
			t.Errorf("%v", err)
		}
		if len(p.names()) != 1 {
			t.Errorf("%v", p.names())
		}
		p.mustBackup(func(o *options) { o.empty = true })
		if len(p.names()) != 2 {
			t.Errorf("%v", p.names())
		}
	})
}

func TestABrokenGenerationIsFoundAndKeepsAllBlobs(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		p.mustBackup()
		first := p.names()[0]
		ctx := context.Background()
		content, err := p.archive().GetContent(ctx, generationFile(first))
		if err != nil {
			t.Fatal(err)
		}
		broken := bytes.Replace(content, []byte(`"multi"`), []byte(`"molti"`), 1)
		if err := p.target.PutContent(ctx, generationFile(first), broken); err != nil {
			t.Fatal(err)
		}
		if err := p.verify(false); err == nil {
			t.Error("not found")
		}
		p.logs("generation "+first+" is broken", "its content isn't that of its digest")
		if err := p.restore(p.empty(), "last", false); err == nil {
			t.Error("restored")
		}
		before, _ := p.archive().sizes(ctx)
		p.Tag("app", "new", p.Image("app"))
		if _, err := p.backup(); err == nil || !strings.Contains(err.Error(), "no blob was removed") {
			t.Errorf("%v", err)
		}
		after, _ := p.archive().sizes(ctx)
		if len(after) != len(before)+1 || len(p.names()) != 2 {
			t.Errorf("%d blobs of %d, %v", len(after), len(before), p.names())
		}
		if err := p.restore(p.empty(), "last", false); err != nil {
			t.Error(err)
		}
		p.mustBackup(func(o *options) { o.keep = 1; o.files = map[string]string{"a": write(t, "a")} })
		if names := p.names(); len(names) != 1 {
			t.Errorf("%v", names)
		}
	})
}

func TestTagsThatABlobBreaksAreFoundThroughIndexes(t *testing.T) {
	d := func(name string) digest.Digest { return digest.FromString(name) }
	g := &generation{
		Repositories: map[string]repository{
			"a": {
				Tags:      map[string]digest.Digest{"one": d("outer"), "two": d("inner"), "three": d("whole")},
				Manifests: []digest.Digest{d("outer"), d("inner"), d("image"), d("whole"), d("circle")},
			},
			"b": {Tags: map[string]digest.Digest{"one": d("outer")}, Manifests: []digest.Digest{d("outer")}},
		},
		Manifests: map[digest.Digest]manifest{
			d("outer"):  {Manifests: []digest.Digest{d("inner"), d("whole")}},
			d("inner"):  {Manifests: []digest.Digest{d("image")}},
			d("image"):  {Blobs: []digest.Digest{d("layer")}},
			d("whole"):  {Blobs: []digest.Digest{d("other")}, Optional: []digest.Digest{d("layer")}},
			d("circle"): {Manifests: []digest.Digest{d("circle")}},
		},
	}
	names := g.breaks(map[digest.Digest]string{d("layer"): corrupt})[d("layer")]
	wanted := []string{"a:one", "a:two", "a@" + d("image").String()}
	slices.Sort(wanted)
	if !slices.Equal(names, wanted) { // b has the index alone
		t.Errorf("%v", names)
	}
	content, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(content); err == nil || !strings.Contains(err.Error(), "format") {
		t.Errorf("%v", err)
	}
	if len(slices.Collect(maps.Keys(g.breaks(nil)))) != 0 {
		t.Error("something is broken without a reason")
	}
}
