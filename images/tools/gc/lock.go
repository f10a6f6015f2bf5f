package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// The lock keeps two collections of one store from doing the same work. Object stores can't create a
// file only if it is absent, so an owner writes its name, waits, and reads who is named: the last to
// write has it. A lock that nobody renews is broken. All this relies on a read that follows a write
// seeing it (true of files, S3, GCS and Azure), on no clock. Should two run at once all the same, no
// content is lost: what one finds moved it skips, and both bring back whatever is needed.
const lockFile = trash + "/lock.json"

var (
	settled   = 2 * time.Second  // how long an owner waits before it reads the lock that it wrote
	heartbeat = 5 * time.Second  // how often it renews the lock
	patience  = 20 * time.Second // how long a lock may stay as it is before it is broken
)

type owner struct {
	Name string    `json:"owner"`
	Seen time.Time `json:"seen"`
}

// lock takes the store's lock. The context that it returns ends when the lock is lost; release gives it
// back. The error names the owner when there is another.
func lock(ctx context.Context, s *store) (held context.Context, release func(), err error) {
	host, _ := os.Hostname()
	name := fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
	if err := free(ctx, s); err != nil {
		return nil, nil, err
	}
	write := func(ctx context.Context) error {
		content, err := json.Marshal(owner{name, s.now().UTC()})
		if err != nil {
			return err
		}
		return s.PutContent(ctx, lockFile, content)
	}
	mine := func(ctx context.Context) bool {
		other, ok, err := holder(ctx, s)
		return err != nil || (ok && other.Name == name) // a failed request says nothing
	}
	if err := write(ctx); err != nil {
		return nil, nil, fmt.Errorf("the lock can't be written: %w", err)
	}
	pause(ctx, settled)
	if !mine(context.WithoutCancel(ctx)) {
		return nil, nil, fmt.Errorf("another clean-up began at the same time: this one ends")
	}
	held, lose := context.WithCancel(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(heartbeat):
			}
			if !mine(context.WithoutCancel(ctx)) {
				lose()
				return
			}
			_ = write(context.WithoutCancel(ctx)) // the next one may work
		}
	}()
	release = func() {
		close(stop)
		<-stopped
		lose()
		if after := context.WithoutCancel(ctx); mine(after) {
			_ = s.Delete(after, lockFile)
		}
	}
	return held, release, nil
}

// free waits until nobody has the lock, or whoever has it doesn't renew it any more; an error if it is
// renewed meanwhile.
func free(ctx context.Context, s *store) error {
	first, held, err := holder(ctx, s)
	for waited := time.Duration(0); err == nil && held && waited < patience; waited += heartbeat {
		if pause(ctx, heartbeat); ctx.Err() != nil {
			return ctx.Err()
		}
		var now owner
		if now, held, err = holder(ctx, s); held && now != first {
			return fmt.Errorf("another clean-up runs (%s): wait for its end", now.Name)
		}
	}
	return err
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// holder returns who has the lock, and false for nobody or a lock that can't be read.
func holder(ctx context.Context, s *store) (owner, bool, error) {
	content, err := s.GetContent(ctx, lockFile)
	if missing(err) {
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
