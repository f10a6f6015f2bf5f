package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"
)

const maxPasses = 20

// rest copies what has changed meanwhile: most of it before writes have to wait. When it fails they go
// on at once.
func (c *copier) rest(ctx context.Context, notice time.Duration) (done counts, waited pause, err error) {
	noticed := time.After(notice)
	if _, err = c.pass(ctx, false); err != nil {
		return done, waited, err
	}
	select {
	case <-noticed:
	case <-ctx.Done():
		return done, waited, ctx.Err()
	}
	if err = c.tell(ctx, http.MethodPost, "/close", &waited); err != nil {
		return done, waited, err
	}
	if done, err = c.settle(ctx); err == nil {
		err = c.notePushes(ctx)
	}
	if err != nil {
		_ = c.tell(context.WithoutCancel(ctx), http.MethodPost, "/open", &waited)
	}
	return done, waited, err
}

// settle copies until nothing that lasts differs. With a gate that is closed this is soon.
func (c *copier) settle(ctx context.Context) (counts, error) {
	var all counts
	for range maxPasses {
		done, err := c.pass(ctx, false)
		if err != nil {
			return all, err
		}
		all = counts{done.Files, done.Bytes, all.Copied + done.Copied, all.Size + done.Size,
			all.Removed + done.Removed, done.Free, 0}
		if done.lasting == 0 {
			return all, nil
		}
	}
	return all, errors.New("images keep changing while writes wait: who writes past Traefik?")
}

// notePushes notes when each tag was pushed, where a copy doesn't keep the times of files.
func (c *copier) notePushes(ctx context.Context) error {
	if c.place.keepsTimes() {
		return nil
	}
	var times map[string]map[string]time.Time
	if err := c.tell(ctx, http.MethodGet, "/pushes", &times); err != nil {
		return err
	}
	return c.store.NotePushes(ctx, times)
}

// end copies what the old registry has finished since, lets writes go on, and looks again until it has
// been quiet for a while: it may be stopping still.
func (c *copier) end(ctx context.Context, quiet time.Duration) (done counts, waited pause, err error) {
	if done, err = c.late(ctx); err != nil {
		return done, waited, err
	}
	if err = c.tell(ctx, http.MethodPost, "/open", &waited); err != nil {
		return done, waited, err
	}
	began, changed := time.Now(), time.Now()
	for time.Since(changed) < quiet && time.Since(began) < 20*quiet {
		select {
		case <-time.After(quiet / 5):
		case <-ctx.Done():
			return done, waited, ctx.Err()
		}
		more, err := c.late(ctx)
		if err != nil {
			return done, waited, err
		}
		if more.Copied > 0 {
			changed = time.Now()
			done.Copied += more.Copied
			done.Size += more.Size
		}
	}
	return done, waited, nil
}

// late copies what has changed at the source since all of it was copied. What a registry has written here
// by then stays.
func (c *copier) late(ctx context.Context) (counts, error) {
	var done counts
	changed, err := c.list(ctx, "/changes")
	if err != nil {
		return done, err
	}
	var wanted []file
	for _, each := range changed {
		is, err := c.isLater(ctx, each)
		if err != nil {
			return done, err
		}
		if is {
			wanted = append(wanted, each)
			done.Copied++
			done.Size += each.Size
		}
	}
	return done, c.copyAll(ctx, wanted)
}

// isLater says whether a file that has changed at the source is to replace what is here.
func (c *copier) isLater(ctx context.Context, each file) (bool, error) {
	here, err := c.place.look(ctx, each.Path)
	if errors.Is(err, errGone) {
		return each.Before == nil, nil // else it was deleted here
	}
	if err != nil {
		return false, err
	}
	if c.times {
		return each.Time.After(here.Time), nil
	}
	if isFixed(each.Path) || each.Size > largestChanged {
		return here.Size != each.Size, nil
	}
	if here.Content, err = contentOf(ctx, c.place, each.Path); err != nil && !errors.Is(err, errGone) {
		return false, err
	}
	return bytes.Equal(here.Content, each.Before) && !bytes.Equal(here.Content, each.Content), nil
}
