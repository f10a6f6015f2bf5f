package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"registry.local/images/tools/command"
	"registry.local/images/tools/schedule"
	"registry.local/images/tools/storage"
)

// once makes a backup; context.Canceled when a signal ended it before it had done all.
func once(ctx context.Context, s settings, log *slog.Logger) error {
	registry, err := openRegistry(ctx, s.config)
	if err != nil {
		return err
	}
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	locks := []storage.LockFile{a.lock(), storage.RegistryLock(registry)}
	return locked(ctx, s, log, "a backup", locks, func(ctx context.Context) error {
		b := &backup{registry: ofRegistry(registry), archive: a, log: log, opts: s.options}
		return b.run(ctx)
	})
}

// openRegistry returns the storage of the registry that a file configures.
func openRegistry(ctx context.Context, file string) (*storage.Store, error) {
	store, config, err := storage.Open(ctx, file)
	if err == nil && config.Proxy.RemoteURL != "" {
		err = fmt.Errorf("%s: proxy.remoteurl: this is a mirror, which has nothing of its own", file)
	}
	return store, err
}

// locked calls job with all the locks, and waits for others to give them back.
func locked(
	ctx context.Context, s settings, log *slog.Logger, purpose string, locks []storage.LockFile,
	job func(context.Context) error,
) error {
	for until := time.Now().Add(s.wait); ; {
		held, release, err := storage.Lock(ctx, purpose, locks...)
		var other storage.LockedError
		if errors.As(err, &other) && ctx.Err() == nil && time.Now().Before(until) {
			log.Info("waiting", "for", other.Purpose, "of", other.Owner)
			storage.Pause(ctx, storage.Heartbeat)
			continue
		}
		if err != nil {
			return err
		}
		defer release()
		err = job(held)
		if held.Err() != nil && ctx.Err() == nil {
			return errors.New("another program took the lock: this one ended")
		}
		return err
	}
}

// serve makes backups at the schedule's times until ctx ends. A run that fails is logged.
func serve(ctx context.Context, times schedule.Schedule, s settings, log *slog.Logger) error {
	if _, err := openRegistry(ctx, s.config); err != nil {
		return err
	}
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	command.Answer(ctx, programName, log)
	last := func(ctx context.Context) any {
		if run, err := a.last(ctx); err == nil && run != nil {
			return run
		}
		return nil
	}
	times.Serve(ctx, log, last, func(ctx context.Context) error { return once(ctx, s, log) })
	return nil
}

// list logs each generation with its numbers.
func list(ctx context.Context, s settings, log *slog.Logger) error {
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	names, err := a.names(ctx)
	if err != nil {
		return err
	}
	if run, err := a.last(ctx); err != nil {
		return err
	} else if run != nil {
		log.Info("the last run", "last_run", run)
	}
	wrong, err := a.visit(ctx, names, func(name string, g *generation) {
		tags, bytes := g.counts()
		log.Info("generation", "name", name, "until", g.Until.Format(time.RFC3339),
			"repositories", len(g.Repositories), "tags", tags, "manifests", len(g.Manifests),
			"blobs", len(g.Blobs), "bytes", bytes, "broken", len(g.Broken),
			"files", slices.Sorted(maps.Keys(g.Files)))
	})
	if err != nil {
		return err
	}
	return errors.Join(wrong...)
}

// check verifies an archive. It takes the lock only to remove something: an archive may be read-only.
func check(ctx context.Context, s settings, log *slog.Logger) error {
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	if !s.remove {
		return verify(ctx, a, s.generation, false, log)
	}
	locks := []storage.LockFile{a.lock()}
	return locked(ctx, s, log, "a verification", locks, func(ctx context.Context) error {
		return verify(ctx, a, s.generation, true, log)
	})
}

// restore brings a generation back.
func restore(ctx context.Context, s settings, log *slog.Logger) error {
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	name, err := a.name(ctx, s.generation)
	if err != nil {
		return err
	}
	registry, err := openRegistry(ctx, s.config)
	if err != nil {
		return err
	}
	locks := []storage.LockFile{storage.RegistryLock(registry)}
	return locked(ctx, s, log, "a restore", locks, func(ctx context.Context) error {
		r := &restoration{archive: a, registry: ofRegistry(registry), log: log, overwrite: s.overwrite}
		return r.run(ctx, name)
	})
}

// printFile prints a file that a generation has.
func printFile(ctx context.Context, s settings, file string, out io.Writer) error {
	a, err := openArchive(ctx, s.archive)
	if err != nil {
		return err
	}
	name, err := a.name(ctx, s.generation)
	if err != nil {
		return err
	}
	g, err := a.load(ctx, name)
	if err != nil {
		return err
	}
	d, ok := g.Files[file]
	if !ok {
		return fmt.Errorf("generation %s has no file %s", name, file)
	}
	content, err := a.GetContent(ctx, a.file(d))
	if err != nil {
		return err
	}
	if d.Algorithm().FromBytes(content) != d {
		return fmt.Errorf("%s of generation %s: %s", file, name, corrupt)
	}
	_, err = out.Write(content)
	return err
}
