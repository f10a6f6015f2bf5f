package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

func TestATagOfAnyNameKeepsItsImage(t *testing.T) {
	on(t, func(p *place) {
		images := map[string]digest.Digest{}
		for _, tag := range []string{"_layers", "_manifests", "_uploads", "v1"} {
			images[tag] = p.Image("app", p.Layer("app", "of "+tag))
			p.Tag("app", tag, images[tag])
		}
		p.later = 2 * day
		p.mustCollect(untagged())
		for tag, d := range images {
			p.hasBlob(tag, d, true)
			p.has(tag, storage.Entry{Kind: storage.Revision, Repository: "app", Digest: d}, true)
			p.hasBlob("layer of "+tag, digest.FromString("of "+tag), true)
		}
	})
}

// Nobody knows what a manifest needs whose content has been cut short or changed.
func TestADamagedManifestKeepsAllOfItsRepository(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut short": `{"schemaVersion": 2, "lay`, "another": `{"schemaVersion": 2}`,
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(p *place) {
				layer := p.Layer("app", "a")
				image, other := p.Image("app", layer), p.Image("app", p.Layer("app", "b"))
				p.Tag("app", "v1", image)
				p.Put(storage.Entry{Kind: storage.Blob, Digest: image}.File(), content)
				loose, elsewhere := p.Layer("app", "loose"), p.Layer("other", "elsewhere")
				p.later = 2 * day
				p.mustCollect(untagged())
				for what, d := range map[string]digest.Digest{
					"layer": layer, "another manifest": other, "what may be a layer of it": loose,
				} {
					p.hasBlob(what, d, true)
				}
				p.has("link", storage.Entry{Kind: storage.Layer, Repository: "app", Digest: layer}, true)
				p.hasBlob("of another repository", elsewhere, false)
			})
		})
	}
}

func TestAStoreWithoutBlobsIsLeftAlone(t *testing.T) {
	on(t, func(p *place) {
		p.Tag("app", "v1", p.Image("app", p.Layer("app", "a")))
		if err := p.Delete(context.Background(), storage.Root+"/blobs"); err != nil {
			t.Fatal(err)
		}
		p.later = 2 * day
		if _, err := p.collect(); err == nil || !strings.Contains(err.Error(), "Is all of") {
			t.Errorf("not refused: %v", err)
		}
		link := storage.Entry{Kind: storage.Layer, Repository: "app", Digest: digest.FromString("a")}
		p.has("a layer's link", link, true)
	})
}

// untilItWaits is a log of a schedule, which it ends once it waits for its first run.
type untilItWaits struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (u *untilItWaits) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"msg":"waiting"`)) {
		u.stop()
	}
	return u.Buffer.Write(line)
}

// runSchedule runs a schedule until it waits, and returns its log.
func runSchedule(t *testing.T, folder string) string {
	config := write(t, "version: 0.1\nstorage: {filesystem: {rootdirectory: "+folder+"}}")
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	out, err := untilItWaits{stop: stop}, bytes.Buffer{}
	code := program(ctx, []string{"schedule", "0 4 29 2 *", "--config", config}, &out, &err)
	if code != 0 {
		t.Errorf("%d, %s%s", code, out.String(), err.String())
	}
	return out.String()
}

func TestAScheduleBeginsWithWhatAKilledRunLeft(t *testing.T) {
	storage.Settled = time.Millisecond
	p := onFiles(t)
	layer := p.Layer("app", "a")
	image := p.Image("app", layer)
	run := storage.Trash + "/" + time.Now().UTC().Format(runFormat)
	aside := storage.Entry{Kind: storage.Blob, Digest: layer}
	ctx := context.Background()
	if err := p.Store.Move(ctx, storage.Root+"/"+aside.File(), run+"/"+aside.File()); err != nil {
		t.Fatal(err)
	}
	if log := runSchedule(t, p.folder); !strings.Contains(log, "come to its end") {
		t.Error(log)
	}
	p.hasBlob("layer", layer, true)
	p.hasBlob("image", image, true)
	loose := storage.Entry{Kind: storage.Blob, Digest: digest.FromString("loose")}
	if err := p.PutContent(ctx, run+"/"+loose.File(), []byte("loose")); err != nil {
		t.Fatal(err)
	}
	if log := runSchedule(t, p.folder); strings.Contains(log, "come to its end") {
		t.Errorf("a run that has ended is taken for one that has not: %s", log)
	}
}

func TestALookThatFailsIsTriedAgain(t *testing.T) {
	tries := 0
	retry(context.Background(), time.Microsecond, func(context.Context) error {
		if tries++; tries < 3 {
			return errKilled
		}
		return nil
	})
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	retry(ctx, time.Hour, func(context.Context) error { t.Error("tried after the end"); return nil })
}

func TestTheClockOfTheStorageCounts(t *testing.T) {
	storage.Settled = time.Millisecond
	p := onFiles(t)
	ctx := context.Background()
	for _, wrong := range []time.Duration{-50 * time.Hour, 0, 30 * time.Second, 50 * time.Hour} {
		store := &storage.Store{StorageDriver: p.StorageDriver, Now: func() time.Time { return time.Now().Add(wrong) }}
		_, release, err := lock(ctx, store)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := keepTime(ctx, store, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Error(err)
		}
		release()
		if off := store.Now().Sub(time.Now()).Abs(); off > 2*time.Minute || (out.Len() > 0) != (wrong.Abs() > time.Hour) {
			t.Errorf("%v: off by %v, %s", wrong, off, out.String())
		}
	}
}

func TestHalfARestoreIsRemoved(t *testing.T) {
	p := onFiles(t)
	p.Tag("app", "v1", p.Image("app"))
	half := filepath.Join(p.folder, "docker/registry/partial")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	p.mustCollect(dry)
	if _, err := os.Stat(half); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	p.mustCollect()
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
