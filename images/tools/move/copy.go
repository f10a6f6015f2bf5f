package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

// counts are what a pass did.
type counts struct {
	Files   int   `json:"files"`   // at the source
	Bytes   int64 `json:"bytes"`   // at the source
	Copied  int   `json:"copied"`  // files, or those that would be
	Size    int64 `json:"size"`    // of these, bytes
	Removed int   `json:"removed"` // files that the source has no more, or never had
	Free    int64 `json:"free"`    // bytes that there is room for here; -1 where nobody knows

	lasting int // of what was copied or removed, that which is no upload under way
}

// pass takes all differences away and returns what it did; when it only looks, what it would do. Blobs come
// first, since a registry may read here already.
func (c *copier) pass(ctx context.Context, looks bool) (counts, error) {
	var done counts
	there, err := c.list(ctx, "/files")
	if err != nil {
		return done, err
	}
	here, err := c.listHere(ctx)
	if err != nil {
		return done, err
	}
	var wanted []file
	var foreign, surplus []string
	for path, each := range there {
		done.Files++
		done.Bytes += each.Size
		old, ok := here[path]
		if ok && c.same(old, each) {
			continue
		}
		if ok {
			foreign = append(foreign, path)
		}
		wanted = append(wanted, each)
		done.Copied++
		done.lasting += lasting(path)
		done.Size += each.Size
	}
	for path := range here {
		if _, ok := there[path]; !ok {
			surplus = append(surplus, path)
			done.Removed++
			done.lasting += lasting(path)
		}
	}
	if foreign = append(foreign, surplus...); !c.owned && len(foreign) > 0 {
		return done, fmt.Errorf("there are %d files that aren't known to be of this registry, such as %s: "+
			"name a place for its images alone, or remove what is there", len(foreign), slices.Min(foreign))
	}
	done.Free, err = c.place.free()
	if looks || err != nil {
		return done, err
	}
	if err := c.own(ctx); err != nil {
		return done, err
	}
	if err := c.copyAll(ctx, wanted); err != nil {
		return done, err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, path := range surplus {
		group.Go(func() error { return c.place.remove(inner, path) })
	}
	return done, group.Wait()
}

// copyAll copies files, blobs first.
func (c *copier) copyAll(ctx context.Context, wanted []file) error {
	var blobs, others []file
	var size int64
	for _, each := range wanted {
		size += each.Size
		if strings.HasPrefix(each.Path, kept+"blobs/") {
			blobs = append(blobs, each)
		} else {
			others = append(others, each)
		}
	}
	progress := &progress{of: size, shown: time.Now()}
	for _, group := range [][]file{blobs, others} {
		if err := c.copyGroup(ctx, group, progress); err != nil {
			return err
		}
	}
	if len(wanted) > 0 {
		c.place.flush()
	}
	return nil
}

// progress is how much is copied.
type progress struct {
	mutex     sync.Mutex
	bytes, of int64
	shown     time.Time
}

// copyGroup copies files, several at a time, and says once a while how far it is.
func (c *copier) copyGroup(ctx context.Context, group []file, p *progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slices.SortFunc(group, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	work := make(chan file)
	var workersDone sync.WaitGroup
	for range workers {
		workersDone.Go(func() {
			for each := range work {
				// What is gone by now, or another, the next pass sees to.
				if err := c.copy(ctx, each); err != nil && !errors.Is(err, errGone) {
					cancel(fmt.Errorf("%s: %w", each.Path, err))
				}
				p.mutex.Lock()
				if p.bytes += each.Size; time.Since(p.shown) > 5*time.Second {
					p.shown = time.Now()
					c.log.Info("copying", "bytes", p.bytes, "of", p.of)
				}
				p.mutex.Unlock()
			}
		})
	}
	for _, each := range group {
		select {
		case work <- each:
		case <-ctx.Done():
		}
	}
	close(work)
	workersDone.Wait()
	return context.Cause(ctx)
}

// retryAfter is how long after a failure a file is copied again.
var retryAfter = time.Second

// copy brings one file here, whole or not at all. A blob's content must be what its name says.
func (c *copier) copy(ctx context.Context, each file) (err error) {
	for attempt := range 3 {
		if attempt > 0 {
			storage.Pause(ctx, retryAfter)
		}
		if err = c.tryCopy(ctx, each); err == nil || errors.Is(err, errGone) || ctx.Err() != nil {
			break
		}
	}
	if errors.Is(err, errWrong) {
		return errors.New("its content isn't what its digest says: delete the images that have it, " +
			"push them again, and move then")
	}
	return err
}

func (c *copier) tryCopy(ctx context.Context, each file) error {
	answer, err := c.ask(ctx, http.MethodGet, "/file?path="+url.QueryEscape(each.Path))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content := &counted{reader: answer.Body}
	if isUpload(each.Path) {
		content.reader = io.LimitReader(answer.Body, each.Size) // it may have grown
	}
	right := func() bool { return content.size == each.Size }
	entry, ok := storage.Parse(strings.TrimPrefix(each.Path, kept))
	isBlob := ok && entry.Kind == storage.Blob
	if isBlob {
		verifier := entry.Digest.Verifier()
		content.reader = io.TeeReader(answer.Body, verifier)
		right = verifier.Verified
	}
	err = c.place.write(ctx, each, content, right)
	if errors.Is(err, errWrong) && !isBlob {
		return errGone // it is another one by now
	}
	return err
}

// counted is a reader that knows how much was read.
type counted struct {
	reader io.Reader
	size   int64
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.reader.Read(into)
	c.size += int64(n)
	return n, err
}

// lasting counts a file that isn't part of an upload. Those may grow while a slow client sends: it sends
// again what the new registry lacks of them.
func lasting(path string) int {
	if isUpload(path) {
		return 0
	}
	return 1
}
