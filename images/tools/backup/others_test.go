package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"registry.local/images/tools/storage"
)

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
