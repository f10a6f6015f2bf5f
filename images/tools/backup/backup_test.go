package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func init() { retryAfter, smallBlob = time.Millisecond, 1<<10 }

// hooked is a driver that calls a function before each request.
type hooked struct {
	driver.StorageDriver
	before func(request, path string) error
}

func (h *hooked) call(request, path string) error {
	if h.before == nil {
		return nil
	}
	return h.before(request, path)
}

func (h *hooked) List(ctx context.Context, path string) ([]string, error) {
	if err := h.call("list", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.List(ctx, path)
}

func (h *hooked) Stat(ctx context.Context, path string) (driver.FileInfo, error) {
	if err := h.call("stat", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.Stat(ctx, path)
}

func (h *hooked) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := h.call("get", path); err != nil {
		return nil, err
	}
	return h.StorageDriver.GetContent(ctx, path)
}

func (h *hooked) PutContent(ctx context.Context, path string, content []byte) error {
	if err := h.call("put", path); err != nil {
		return err
	}
	return h.StorageDriver.PutContent(ctx, path, content)
}

func (h *hooked) Move(ctx context.Context, from, to string) error {
	if err := h.call("move", to); err != nil {
		return err
	}
	return h.StorageDriver.Move(ctx, from, to)
}

func (h *hooked) Delete(ctx context.Context, path string) error {
	if err := h.call("delete", path); err != nil {
		return err
	}
	return h.StorageDriver.Delete(ctx, path)
}

// place is a registry and its archive under test.
type place struct {
	registrytest.Tree
	source *hooked
	target *hooked
	log    bytes.Buffer
}

// on runs a test on files and in memory.
func on(t *testing.T, test func(*place)) {
	t.Run("files", func(t *testing.T) { test(newPlace(t, onFiles)) })
	t.Run("memory", func(t *testing.T) { test(newPlace(t, inMemory)) })
}

func onFiles(t *testing.T) driver.StorageDriver {
	return filesystem.New(filesystem.DriverParameters{RootDirectory: t.TempDir(), MaxThreads: 100})
}

func inMemory(*testing.T) driver.StorageDriver { return inmemory.New() }

func newPlace(t *testing.T, makeDriver func(*testing.T) driver.StorageDriver) *place {
	p := &place{source: &hooked{StorageDriver: makeDriver(t)}, target: &hooked{StorageDriver: makeDriver(t)}}
	p.Tree = registrytest.Tree{T: t, Store: &storage.Store{StorageDriver: p.source, Now: time.Now}}
	return p
}

func (p *place) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&p.log, nil)) }

func (p *place) archive() *archive {
	return archiveIn(&storage.Store{StorageDriver: p.target, Now: time.Now})
}

func (p *place) backup(change ...func(*options)) (*backup, error) {
	b := &backup{registry: ofRegistry(p.Store), archive: p.archive(), log: p.logger()}
	for _, one := range change {
		one(&b.opts)
	}
	return b, b.run(context.Background())
}

func (p *place) mustBackup(change ...func(*options)) *backup {
	p.Helper()
	b, err := p.backup(change...)
	if err != nil {
		p.Fatal(err)
	}
	return b
}

func (p *place) names() []string {
	p.Helper()
	names, err := p.archive().names(context.Background())
	if err != nil {
		p.Fatal(err)
	}
	return names
}

// generation returns the newest one.
func (p *place) generation() *generation {
	p.Helper()
	names := p.names()
	if len(names) == 0 {
		p.Fatal("there is no backup")
	}
	g, err := p.archive().load(context.Background(), names[len(names)-1])
	if err != nil {
		p.Fatal(err)
	}
	return g
}

func (p *place) restore(into registrytest.Tree, name string, overwrite bool) error {
	r := &restoration{
		archive: p.archive(), registry: ofRegistry(into.Store), log: p.logger(), overwrite: overwrite,
	}
	full, err := p.archive().name(context.Background(), name)
	if err != nil {
		p.Fatal(err)
	}
	return r.run(context.Background(), full)
}

// empty returns another registry, which has nothing.
func (p *place) empty() registrytest.Tree {
	store := &storage.Store{StorageDriver: inmemory.New(), Now: time.Now}
	return registrytest.Tree{T: p.T, Store: store}
}

func (p *place) verify(remove bool) error {
	return verify(context.Background(), p.archive(), "", remove, p.logger())
}

// logs fails unless the log has a line with all these words.
func (p *place) logs(words ...string) {
	p.Helper()
	for line := range strings.Lines(p.log.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return
		}
	}
	p.Errorf("no line with %q in:\n%s", words, p.log.String())
}

// files returns the content of a registry, by path.
func files(t registrytest.Tree) map[string]string {
	all := map[string]string{}
	ctx := context.Background()
	err := t.Entries(ctx, storage.Root, "", func(e storage.Stored) {
		content, err := t.GetContent(ctx, storage.Root+"/"+e.File())
		if err != nil {
			t.Fatal(err)
		}
		all[e.File()] = string(content)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fill pushes one of all that a registry may have.
func (p *place) fill() {
	shared, large := p.Layer("app", "shared"), p.Layer("app", strings.Repeat("large", smallBlob/4))
	p.Link(storage.Entry{Kind: storage.Layer, Repository: "team/other", Digest: shared})
	p.Tag("app", "v1", p.Image("app", shared, large))
	p.Tag("team/other", "v1", p.Image("team/other", shared, p.Layer("team/other", "")))
	child := p.Image("app", shared, p.Layer("app", "of a child"))
	index := p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(child)})
	p.Tag("app", "multi", p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(index)}))
	p.Manifest("app", registrytest.Fields{
		"subject": registrytest.Fields{"digest": child},
		"layers":  registrytest.Named(p.Layer("app", "a signature")),
	})
	p.Image("app", p.Layer("app", "of no tag"))
	long := digest.SHA512.FromString("long")
	p.Put(storage.Entry{Kind: storage.Blob, Digest: long}.File(), "long")
	p.Link(storage.Entry{Kind: storage.Layer, Repository: "app", Digest: long})
	p.Tag("app", "sha512", p.Image("app", long))
	p.Raw("app", `["`+shared.String()+`"]`)
}

func TestARestoredRegistryIsTheSame(t *testing.T) {
	on(t, func(p *place) {
		p.fill()
		p.mustBackup()
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
		if first.report.BlobsCopied == 0 || first.report.BytesCopied < int64(smallBlob) {
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

// flip changes one byte of a blob in the archive.
func (p *place) flip(d digest.Digest) {
	content, err := p.archive().GetContent(context.Background(), archivedBlob(d))
	if err != nil {
		p.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := p.target.StorageDriver.PutContent(context.Background(), archivedBlob(d), content); err != nil {
		p.Fatal(err)
	}
}

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

var errKilled = errors.New("killed")

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

// whole fails unless a tag and all that it needs are there.
func whole(t registrytest.Tree, repository, tag string) {
	t.Helper()
	all := files(t)
	link := storage.Entry{Kind: storage.Current, Repository: repository, Tag: tag}
	next := []digest.Digest{digest.Digest(all[link.File()])}
	for len(next) > 0 {
		d := next[0]
		next = next[1:]
		content, ok := all[storage.Entry{Kind: storage.Blob, Digest: d}.File()]
		if !ok || digest.FromString(content) != d {
			t.Errorf("%s:%s lacks %s", repository, tag, d)
			continue
		}
		revision := storage.Entry{Kind: storage.Revision, Repository: repository, Digest: d}
		if _, ok := all[revision.File()]; ok {
			found, _ := storage.Read([]byte(content))
			next = append(next, found.All()...)
		}
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
		if err := p.verify(false); err != nil {
			t.Error(err)
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

func TestAnArchiveIsOfOneRegistry(t *testing.T) {
	on(t, func(p *place) {
		name := func(name string) func(*options) { return func(o *options) { o.name = name } }
		p.mustBackup()
		p.mustBackup(name("prod")) // a name can be given later
		p.Tag("app", "new", p.Image("app"))
		for _, other := range []string{"stag", ""} {
			if _, err := p.backup(name(other)); err == nil || !strings.Contains(err.Error(), "backups of prod") {
				t.Errorf("%q: %v", other, err)
			}
		}
		p.mustBackup(name("prod"))
	})
}

func write(t *testing.T, content string) string {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNobodyElseChangesTheRegistryMeanwhile(t *testing.T) {
	storage.Settled, storage.Heartbeat, storage.Patience = time.Millisecond, 20*time.Millisecond, time.Second
	on(t, func(p *place) {
		ctx, log := context.Background(), slog.New(slog.NewTextHandler(io.Discard, nil))
		inRegistry := storage.RegistryLock(p.Store)
		locks := []storage.LockFile{p.archive().lock(), inRegistry}
		_, release, err := storage.Lock(ctx, "a clean-up", inRegistry)
		if err != nil {
			t.Fatal(err)
		}
		var other storage.LockedError
		patient := settings{options: options{wait: time.Minute}}
		err = locked(ctx, settings{}, log, "a backup", locks, func(context.Context) error { t.Error("runs"); return nil })
		if !errors.As(err, &other) || other.Purpose != "a clean-up" {
			t.Errorf("%v", err)
		}
		time.AfterFunc(200*time.Millisecond, release)
		err = locked(ctx, patient, log, "a backup", locks, func(ctx context.Context) error {
			_, _, err := storage.Lock(ctx, "a clean-up", inRegistry)
			if !errors.As(err, &other) || other.Purpose != "a backup" {
				t.Errorf("a clean-up runs meanwhile: %v", err)
			}
			// Somebody takes the lock by force: the run ends.
			for ctx.Err() == nil { // the owner may write just after
				_ = p.PutContent(context.Background(), inRegistry.Path, []byte(`{"owner": "another"}`))
				time.Sleep(time.Millisecond)
			}
			return ctx.Err()
		})
		if err == nil || !strings.Contains(err.Error(), "took the lock") {
			t.Errorf("%v", err)
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
