package storage

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func TestALockHasOneOwner(t *testing.T) {
	Settled, Heartbeat, Patience = 5*time.Millisecond, 50*time.Millisecond, time.Second
	files := filesystem.New(filesystem.DriverParameters{RootDirectory: t.TempDir(), MaxThreads: 100})
	for name, d := range map[string]driver.StorageDriver{"files": files, "memory": inmemory.New()} {
		t.Run(name, func(t *testing.T) {
			ctx, store := context.Background(), &Store{d, time.Now}
			lock := func(purpose string) (context.Context, func(), error) {
				return Lock(ctx, purpose, RegistryLock(store))
			}
			_, release, err := lock("a clean-up")
			if err != nil {
				t.Fatal(err)
			}
			var locked LockedError
			if _, _, err := lock("a backup"); !errors.As(err, &locked) || locked.Purpose != "a clean-up" {
				t.Errorf("locked twice: %v", err)
			}
			if _, other, err := Lock(ctx, "a backup", LockFile{store, "/lock.json"}); err != nil {
				t.Errorf("another lock: %v", err)
			} else {
				other()
			}
			// All or none.
			if _, _, err := Lock(ctx, "a backup", LockFile{store, "/lock.json"}, RegistryLock(store)); err == nil {
				t.Error("locked twice, with another")
			} else if _, other, err := Lock(ctx, "a backup", LockFile{store, "/lock.json"}); err != nil {
				t.Errorf("half a lock is left: %v", err)
			} else {
				other()
			}
			release()
			held, release, err := lock("a backup")
			if err != nil {
				t.Fatal(err)
			}
			content, _ := json.Marshal(owner{Name: "killed"})
			for held.Err() == nil { // the heartbeat may write just after, and then finds another's name
				_ = store.PutContent(ctx, RegistryLock(store).Path, content)
				time.Sleep(time.Millisecond)
			}
			release()
			if _, release, err = lock("a backup"); err != nil { // which nobody renews
				t.Fatal(err)
			}
			release()
		})
	}
}
