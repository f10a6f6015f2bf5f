package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
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
