package storage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A lock keeps two programs from working on one store in ways that don't go together. Object stores
// can't create a file only if it is absent, so an owner writes its name, waits, and reads who is named:
// the last to write has it. A lock that nobody renews is broken. All this relies on a read that follows a
// write seeing it (true of files, S3, GCS and Azure), on no clock. Should two run at once all the same, no
// content is lost: what a clean-up finds moved it skips, it brings back whatever is needed, and a backup
// that lacks something says so.

// RegistryLock is the lock on a registry's storage.
func RegistryLock(s *Store) LockFile { return LockFile{s, Trash + "/lock.json"} }

// The times of locks, which tests shorten.
var (
	Settled   = time.Second      // how long an owner waits before it reads the lock that it wrote, at most
	Heartbeat = 5 * time.Second  // how often it renews the lock
	Patience  = 20 * time.Second // how long a lock may stay as it is before it is broken
)

// LockedError says that somebody else has the lock.
type LockedError struct {
	Purpose string // what for: a noun with its article
	Owner   string // host, process and a random word
}

func (e LockedError) Error() string {
	return fmt.Sprintf("%s runs (%s): wait for its end", e.Purpose, e.Owner)
}

type owner struct {
	Name    string    `json:"owner"`
	Purpose string    `json:"purpose"`
	Seen    time.Time `json:"seen"`
}

// LockFile is a file that stands for a lock.
type LockFile struct {
	Store *Store
	Path  string
}

// Lock takes some locks, all or none. The context that it returns ends when one is lost; release gives
// them back. LockedError when somebody else has one.
func Lock(
	ctx context.Context, purpose string, files ...LockFile,
) (held context.Context, release func(), err error) {
	host, _ := os.Hostname()
	l := lock{files, owner{Name: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8]), Purpose: purpose}}
	for _, file := range files {
		if err := file.free(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := l.write(ctx); err != nil {
		l.remove(ctx)
		return nil, nil, fmt.Errorf("the lock can't be written: %w", err)
	}
	Pause(ctx, l.settled())
	if other, mine := l.mine(ctx); !mine {
		l.remove(ctx)
		return nil, nil, LockedError{other.Purpose, other.Name}
	}
	held, lose := context.WithCancel(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(Heartbeat):
			}
			if _, mine := l.mine(ctx); !mine {
				lose()
				return
			}
			_ = l.write(context.WithoutCancel(ctx)) // the next one may work
		}
	}()
	release = func() {
		close(stop)
		<-stopped
		lose()
		l.remove(ctx)
	}
	return held, release, nil
}

// lock is some files, and who wants them.
type lock struct {
	files []LockFile
	owner owner
}

// settled is shorter on files, where nothing is sent anywhere.
func (l lock) settled() time.Duration {
	for _, file := range l.files {
		if file.Store.Name() != "filesystem" {
			return Settled
		}
	}
	return Settled / 4
}

func (l lock) write(ctx context.Context) error {
	for _, file := range l.files {
		l.owner.Seen = file.Store.Now().UTC()
		content, err := json.Marshal(l.owner)
		if err != nil {
			return err
		}
		if err := file.Store.PutContent(ctx, file.Path, content); err != nil {
			return err
		}
	}
	return nil
}

// mine returns whether all files name the owner, and else whom one names; also when ctx has ended.
func (l lock) mine(ctx context.Context) (other owner, mine bool) {
	for _, file := range l.files {
		other, ok, err := file.holder(context.WithoutCancel(ctx))
		if err == nil && !(ok && other.Name == l.owner.Name) { // a failed request says nothing
			return other, false
		}
	}
	return owner{}, true
}

// remove removes the files that name the owner; also when ctx has ended.
func (l lock) remove(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, file := range l.files {
		if other, ok, err := file.holder(ctx); err == nil && ok && other.Name == l.owner.Name {
			_ = file.Store.Delete(ctx, file.Path)
		}
	}
}

// free waits until nobody has the lock, or whoever has it doesn't renew it any more; LockedError if it is
// renewed meanwhile.
func (f LockFile) free(ctx context.Context) error {
	first, held, err := f.holder(ctx)
	for waited := time.Duration(0); err == nil && held && waited < Patience; waited += Heartbeat {
		if Pause(ctx, Heartbeat); ctx.Err() != nil {
			return ctx.Err()
		}
		var now owner
		if now, held, err = f.holder(ctx); held && now != first {
			return LockedError{now.Purpose, now.Name}
		}
	}
	return err
}

// Ahead returns how far the clock of the store is ahead of this node's, by when the lock was written, which
// is a few seconds ago. Differences below a minute count for nothing.
func (f LockFile) Ahead(ctx context.Context) (time.Duration, error) {
	info, err := f.Store.Stat(ctx, f.Path)
	if err != nil {
		return 0, err
	}
	if ahead := info.ModTime().Sub(f.Store.Now()); ahead.Abs() > time.Minute {
		return ahead.Truncate(time.Second), nil
	}
	return 0, nil
}

// Pause waits, at most until ctx ends.
func Pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// holder returns who has the lock, and false for nobody or a lock that can't be read.
func (f LockFile) holder(ctx context.Context) (owner, bool, error) {
	content, err := f.Store.GetContent(ctx, f.Path)
	if Missing(err) {
		return owner{}, false, nil
	}
	if err != nil {
		return owner{}, false, err
	}
	var o owner
	if json.Unmarshal(content, &o) != nil {
		return owner{}, false, nil
	}
	return o, true, nil
}
