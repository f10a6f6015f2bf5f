package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	workers     = 8
	maxPasses   = 20
	draftPrefix = ".move-"
	blobs       = "docker/registry/v2/blobs/"
)

var blobPath = regexp.MustCompile(`^docker/registry/v2/blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data$`)

var errGone = errors.New("it is gone")

// isDraft says whether a path is that of a file which a copy has begun.
func isDraft(path string) bool {
	return strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], draftPrefix)
}

// copier brings a folder to the state of a source's.
type copier struct {
	folder string
	source string // address
	token  string
	client *http.Client
	log    *slog.Logger
}

// counts are what a pass did.
type counts struct {
	Files   int   `json:"files"`   // at the source
	Bytes   int64 `json:"bytes"`   // at the source
	Copied  int   `json:"copied"`  // files, or those that would be
	Size    int64 `json:"size"`    // of these, bytes
	Removed int   `json:"removed"` // files that the source has no more, or never had
	Free    int64 `json:"free"`    // bytes in the volume here

	lasting int // of what was copied or removed, that which is no upload under way
}

func (c *copier) ask(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.source+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return nil, errGone
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	return nil, fmt.Errorf("the node that the images are on answers %s: %s", answer.Status, text)
}

// wait returns once the source answers: its task may start after this one.
func (c *copier) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		answer, err := c.ask(ctx, http.MethodGet, "/file?path=")
		if err == nil {
			answer.Body.Close()
			return nil
		}
		var unreachable *url.Error
		if !errors.As(err, &unreachable) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node that the images are on doesn't answer: %w", err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// list returns the source's files by path.
func (c *copier) list(ctx context.Context) (map[string]file, error) {
	answer, err := c.ask(ctx, http.MethodGet, "/files")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	found := map[string]file{}
	lines := json.NewDecoder(bufio.NewReader(answer.Body))
	for {
		var each file
		if err := lines.Decode(&each); err != nil {
			return nil, fmt.Errorf("the list of files broke off: %w", err)
		}
		if each.Path == "" {
			return found, nil
		}
		if !filepath.IsLocal(each.Path) {
			return nil, fmt.Errorf("%q isn't below the folder", each.Path)
		}
		found[each.Path] = each
	}
}

// mode is which differences a pass takes away.
type mode int

const (
	look   mode = iota // none: it counts them
	mirror             // all: what the source hasn't, goes
	add                // what the source has that is newer, or isn't here: a registry writes here by now
)

// pass takes differences away and returns what it did. Blobs come first, since a registry may read here
// already.
func (c *copier) pass(ctx context.Context, m mode) (counts, error) {
	var done counts
	there, err := c.list(ctx)
	if err != nil {
		return done, err
	}
	here, err := files(c.folder)
	if err != nil {
		return done, err
	}
	var first, then []file
	done.Files = len(there)
	for path, each := range there {
		done.Bytes += each.Size
		old, is := here[path]
		same := is && old.Size == each.Size && old.Time.Equal(each.Time)
		if same || (m == add && is && !each.Time.After(old.Time)) {
			continue
		}
		done.Copied++
		done.lasting += lasting(path)
		done.Size += each.Size
		if strings.HasPrefix(path, blobs) {
			first = append(first, each)
		} else {
			then = append(then, each)
		}
	}
	if m != look {
		for _, group := range [][]file{first, then} {
			if err := c.copyAll(ctx, group, done.Size); err != nil {
				return done, err
			}
		}
	}
	if done.Copied > 0 && m != look {
		syscall.Sync() // once for all: a crash of the node must not undo what counts as copied
	}
	if m != add {
		for path := range here {
			if _, is := there[path]; !is {
				done.Removed++
				done.lasting += lasting(path)
				if m == mirror {
					if err := c.remove(path); err != nil {
						return done, err
					}
				}
			}
		}
	}
	done.Free, err = free(c.folder)
	return done, err
}

func free(folder string) (int64, error) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(folder, &about); err != nil {
		return 0, err
	}
	return int64(about.Bavail) * about.Bsize, nil
}

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
