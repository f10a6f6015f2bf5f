package main

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func init() { retryAfter, storage.SmallFile = time.Millisecond, 1<<10 }

// stores are the two storages of a move.
type stores struct {
	t        *testing.T
	from, to place
	source   *source
	copier   *copier
}

func inMemory() bucket {
	return bucket{&storage.Store{StorageDriver: inmemory.New(), Now: time.Now}}
}

func newStores(t *testing.T, from, to place) *stores {
	t.Helper()
	s := &stores{t: t, from: from, to: to}
	s.source = &source{place: from, name: "the old place", token: "right"}
	server := httptest.NewServer(s.source.handler())
	t.Cleanup(server.Close)
	s.copier = newCopier(to, server.URL)
	s.copier.name = "the new place"
	return s
}

// pass takes all differences away.
func (s *stores) pass() (counts, error) {
	s.t.Helper()
	if err := s.copier.begin(context.Background(), time.Minute); err != nil {
		s.t.Fatal(err)
	}
	return s.copier.pass(context.Background(), false)
}

func (s *stores) mustPass() counts {
	s.t.Helper()
	done, err := s.pass()
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

func (s *stores) write(in place, path, text string) {
	s.t.Helper()
	if err := put(context.Background(), in, path, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stores) read(in place, path string) string {
	s.t.Helper()
	content, err := in.open(context.Background(), path)
	if errors.Is(err, errGone) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// onEach runs a test from files to an object store, back, and between object stores.
func onEach(t *testing.T, test func(*stores)) {
	folder := func(t *testing.T) place { return in(t, t.TempDir()) }
	memory := func(*testing.T) place { return inMemory() }
	for name, sides := range map[string][2]func(*testing.T) place{
		"out":     {folder, memory},
		"back":    {memory, folder},
		"between": {memory, memory},
	} {
		t.Run(name, func(t *testing.T) { test(newStores(t, sides[0](t), sides[1](t))) })
	}
}

const (
	upload  = kept + "repositories/a/_uploads/1/data"
	foreign = kept + "repositories/other/_manifests/tags/1/current/link"
	aside   = trash + "20260102-030405/repositories/a/_layers/sha256/1/link"
)

func TestAStorageGetsWhatAnotherHas(t *testing.T) {
	onEach(t, func(s *stores) {
		large := strings.Repeat("layer", storage.SmallFile/4)
		for path, text := range map[string]string{
			blob("layer"): "layer", blob(large): large, link: "sha256:1", aside: "sha256:2",
			upload: "half a layer", lockFile: "{}", "elsewhere/file": "of others",
		} {
			s.write(s.from, path, text)
		}
		s.mustPass()
		for _, path := range []string{blob("layer"), blob(large), link, aside} {
			if s.read(s.to, path) != s.read(s.from, path) {
				t.Errorf("%s isn't there", path)
			}
		}
		for _, path := range []string{upload, lockFile, "elsewhere/file"} {
			if s.read(s.to, path) != "" {
				t.Errorf("%s is there", path)
			}
		}
		if again := s.mustPass(); again.Copied+again.Removed != 0 {
			t.Errorf("the second pass does %+v", again)
		}
		s.write(s.from, link, "sha256:3") // of the same size
		if err := s.from.remove(context.Background(), aside); err != nil {
			t.Fatal(err)
		}
		rest := s.mustPass()
		if rest.Copied != 1 || rest.Removed != 1 || s.read(s.to, link) != "sha256:3" || s.read(s.to, aside) != "" {
			t.Errorf("the rest is %+v", rest)
		}
	})
}

func TestABlobThatIsBrokenEndsACopyToAStorageByName(t *testing.T) {
	onEach(t, func(s *stores) {
		s.write(s.from, blob("layer"), "lager")
		_, err := s.pass()
		if err == nil || !strings.Contains(err.Error(), blob("layer")) {
			t.Errorf("the error is %v", err)
		}
		if s.read(s.to, blob("layer")) != "" {
			t.Error("it is there")
		}
	})
}

func TestWhatIsntKnownToBeTheRegistrysStays(t *testing.T) {
	onEach(t, func(s *stores) {
		s.write(s.from, link, "sha256:1")
		for _, path := range []string{foreign, link} {
			s.write(s.to, path, "sha256:9")
			if _, err := s.pass(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %v", err)
			}
			if s.read(s.to, path) != "sha256:9" || s.read(s.to, markFile) != "" || s.read(s.from, markFile) != "" {
				t.Error("something was changed")
			}
			if err := s.to.remove(context.Background(), path); err != nil {
				t.Fatal(err)
			}
		}
		s.write(s.to, link, "sha256:1") // a part of the registry, copied by hand
		s.mustPass()
		s.write(s.to, foreign, "sha256:9") // by now it is marked as the registry's own
		if s.mustPass(); s.read(s.to, foreign) != "" {
			t.Error("what the source doesn't have is there")
		}
	})
}

func TestAPlaceThatTheRegistryWasInIsItsOwnAndACopyOfItIsnt(t *testing.T) {
	onEach(t, func(s *stores) {
		s.write(s.from, link, "sha256:1")
		s.mustPass()
		back := newStores(t, s.to, s.from)
		back.source.name, back.copier.name = "the new place", "the old place"
		s.write(s.from, foreign, "sha256:9") // deleted after the registry had left
		if back.mustPass(); s.read(s.from, foreign) != "" {
			t.Error("what the source doesn't have is there")
		}
		back.copier.name = "a place that all was copied to by hand"
		s.write(s.from, foreign, "sha256:9")
		if _, err := back.pass(); err == nil {
			t.Error("another registry's file was removed")
		}
	})
}

func TestWhatTheOldRegistryFinishedComesUnlessTheNewOneKnowsBetter(t *testing.T) {
	onEach(t, func(s *stores) {
		tag := func(name string) string { return kept + "repositories/a/_manifests/tags/" + name + "/current/link" }
		for _, name := range []string{"late", "pushed", "deleted"} {
			s.write(s.from, tag(name), "sha256:1")
		}
		s.mustPass()
		s.write(s.to, tag("pushed"), "sha256:2")
		s.write(s.to, tag("only-here"), "sha256:2")
		if err := s.to.remove(context.Background(), tag("deleted")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"late", "pushed", "deleted", "new"} {
			s.write(s.from, tag(name), "sha256:3")
		}
		s.write(s.from, blob("late"), "late")
		if _, err := s.copier.late(context.Background()); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"late": "sha256:3", "new": "sha256:3", "pushed": "sha256:2", "deleted": "", "only-here": "sha256:2",
		} {
			if now := s.read(s.to, tag(name)); now != text {
				t.Errorf("%s is %q", name, now)
			}
		}
		if s.read(s.to, blob("late")) != "late" {
			t.Error("a late layer is lost")
		}
	})
}

func TestACollectionAndACopyDontRunAtOnce(t *testing.T) {
	settled, heartbeat := storage.Settled, storage.Heartbeat
	storage.Settled, storage.Heartbeat = time.Millisecond, 10*time.Millisecond
	defer func() { storage.Settled, storage.Heartbeat = settled, heartbeat }()
	store := inMemory()
	s := newStores(t, store, inMemory())
	held, release, err := storage.Lock(context.Background(), "a collection", storage.RegistryLock(store.store))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.source.store = store.store
	released := s.source.lock(ctx)
	err = s.copier.begin(held, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "a collection runs") {
		t.Errorf("beside a collection: %v", err)
	}
	release()
	for err = s.copier.begin(ctx, time.Minute); err != nil; err = s.copier.begin(ctx, time.Minute) {
		time.Sleep(10 * time.Millisecond)
	}
	if _, _, err := storage.Lock(ctx, "a collection", storage.RegistryLock(store.store)); err == nil {
		t.Error("a collection begins beside a copy")
	}
	stop()
	<-released
	if _, release, err = storage.Lock(
		context.Background(), "a collection", storage.RegistryLock(store.store)); err != nil {
		t.Fatal(err)
	}
	release()
}

func TestATagInAnObjectStoreIsAsOldAsItsPush(t *testing.T) {
	from, to := inMemory(), inMemory()
	s := newStores(t, from, to)
	s.source.store, s.copier.store = from.store, to.store
	tree := registrytest.Tree{T: t, Store: from.store}
	tree.Tag("app", "v1", tree.Image("app", tree.Layer("app", "layer")))
	pushed, err := from.store.PushTimes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	s.mustPass()
	if err := s.copier.notePushes(context.Background()); err != nil {
		t.Fatal(err)
	}
	copied, err := to.store.PushTimes(context.Background())
	if err != nil || len(pushed["app"]) != 1 || !copied["app"]["v1"].Equal(pushed["app"]["v1"]) {
		t.Errorf("%v, %v: %v", pushed, copied, err)
	}
}
