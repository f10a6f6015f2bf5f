package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// remove takes a file away, and the folders that are empty then.
func (c *copier) remove(path string) error {
	err := os.Remove(filepath.Join(c.folder, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for parent := filepath.Dir(path); err == nil && parent != "."; parent = filepath.Dir(parent) {
		if os.Remove(filepath.Join(c.folder, parent)) != nil {
			break // it isn't empty
		}
	}
	return err
}

// copyAll copies files, several at a time, and says once a while how far it is.
func (c *copier) copyAll(ctx context.Context, all []file, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	work := make(chan file)
	var workersDone sync.WaitGroup
	var mutex sync.Mutex
	var bytes int64
	shown := time.Now()
	for range workers {
		workersDone.Go(func() {
			for each := range work {
				// What is gone by now the next pass sees to.
				if err := c.copy(ctx, each); err != nil && !errors.Is(err, errGone) {
					cancel(fmt.Errorf("%s: %w", each.Path, err))
				}
				mutex.Lock()
				if bytes += each.Size; time.Since(shown) > 5*time.Second {
					shown = time.Now()
					c.log.Info("copying", "bytes", bytes, "of", size)
				}
				mutex.Unlock()
			}
		})
	}
	for _, each := range all {
		select {
		case work <- each:
		case <-ctx.Done():
		}
	}
	close(work)
	workersDone.Wait()
	return context.Cause(ctx)
}

// copy brings one file here, whole or not at all. A blob's content must be what its name says.
func (c *copier) copy(ctx context.Context, each file) (err error) {
	answer, err := c.ask(ctx, http.MethodGet, "/file?path="+url.QueryEscape(each.Path))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	target := filepath.Join(c.folder, each.Path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(target), draftPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(draft, hash), answer.Body)
	if err != nil {
		return err
	}
	if answer.ContentLength >= 0 && size != answer.ContentLength {
		return io.ErrUnexpectedEOF
	}
	if blob := blobPath.FindStringSubmatch(each.Path); blob != nil &&
		hex.EncodeToString(hash.Sum(nil)) != blob[1] {
		return errors.New("its content isn't what its digest says: delete the images that have it, " +
			"push them again, and move then")
	}
	var changed int64
	if _, err := fmt.Sscan(answer.Header.Get("X-Time"), &changed); err != nil {
		return err
	}
	moment := time.Unix(0, changed)
	if err := errors.Join(draft.Chmod(0o644), draft.Close(),
		os.Chtimes(draft.Name(), moment, moment)); err != nil {
		return err
	}
	return os.Rename(draft.Name(), target)
}

// lasting counts a file that isn't part of an upload. Those may grow while a slow client sends: it sends
// again what the new registry lacks of them.
func lasting(path string) int {
	if strings.Contains(path, "/_uploads/") {
		return 0
	}
	return 1
}

// settle copies until nothing that lasts differs. With a gate that is closed this is soon.
func (c *copier) settle(ctx context.Context) (counts, error) {
	var all counts
	for range maxPasses {
		done, err := c.pass(ctx, mirror)
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

// end copies what the old registry has finished since, lets writes go on, and looks again until it has
// been quiet for a while: it may be stopping still.
func (c *copier) end(ctx context.Context, quiet time.Duration) (done counts, waited pause, err error) {
	if done, err = c.pass(ctx, add); err != nil {
		return done, waited, err
	}
	if waited, err = c.tell(ctx, "open"); err != nil {
		return done, waited, err
	}
	began, changed := time.Now(), time.Now()
	for time.Since(changed) < quiet && time.Since(began) < 20*quiet {
		select {
		case <-time.After(quiet / 5):
		case <-ctx.Done():
			return done, waited, ctx.Err()
		}
		more, err := c.pass(ctx, add)
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

// tell has the source close or open its gate, and returns what came of it.
func (c *copier) tell(ctx context.Context, what string) (pause, error) {
	var came pause
	answer, err := c.ask(ctx, http.MethodPost, "/"+what)
	if err != nil {
		return came, err
	}
	defer answer.Body.Close()
	return came, json.NewDecoder(answer.Body).Decode(&came)
}
