package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"registry.local/images/tools/storage"
)

const workers = 8

// copier brings a place to the state of a source's.
type copier struct {
	place  place
	store  *storage.Store // the same as a storage
	name   string         // of the place, for its mark; "" when no mark is needed
	source string         // address
	token  string
	client *http.Client
	log    *slog.Logger

	times bool // files whose times are the same are the same, since both sides keep them
	owned bool // what the source doesn't have is the registry's own all the same
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
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	switch answer.StatusCode {
	case http.StatusNotFound:
		return nil, errGone
	case http.StatusLocked:
		return nil, lockedError(strings.TrimSpace(string(text)))
	}
	return nil, fmt.Errorf("the storage that the images are in answers %s: %s", answer.Status, text)
}

// lockedError says who works on the source's storage.
type lockedError string

func (e lockedError) Error() string { return string(e) }

// begin learns what the source is. It waits until that answers: its task may start after this one.
func (c *copier) begin(ctx context.Context, limit time.Duration) error {
	known, err := c.about(ctx, limit)
	if err != nil {
		return err
	}
	c.times = known.Times && c.place.keepsTimes()
	if c.owned = c.name == ""; c.owned {
		return nil
	}
	here, err := readMark(ctx, c.place, c.name)
	if err == nil {
		c.owned = here != "" && here == known.Registry
	}
	return err
}

func (c *copier) about(ctx context.Context, limit time.Duration) (known about, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := c.tell(ctx, http.MethodGet, "/about", &known)
		if _, locked := err.(lockedError); err == nil || locked {
			return known, err
		}
		select {
		case <-ctx.Done():
			return known, fmt.Errorf("the storage that the images are in doesn't answer: %w", err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// own has both sides marked as those of one registry.
func (c *copier) own(ctx context.Context) error {
	if c.owned {
		return nil
	}
	var known about
	if err := c.tell(ctx, http.MethodPost, "/mark", &known); err != nil {
		return err
	}
	if err := writeMark(ctx, c.place, c.name, known.Registry); err != nil {
		return err
	}
	c.owned = true
	return nil
}

// tell asks the source for something, and takes its answer.
func (c *copier) tell(ctx context.Context, method, path string, into any) error {
	answer, err := c.ask(ctx, method, path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(into)
}

// list returns files of the source by path, all or those that have changed.
func (c *copier) list(ctx context.Context, which string) (map[string]file, error) {
	if !c.times {
		which += "?content=true"
	}
	answer, err := c.ask(ctx, http.MethodGet, which)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	listed := map[string]file{}
	lines := json.NewDecoder(bufio.NewReader(answer.Body))
	for {
		var each file
		if err := lines.Decode(&each); err != nil {
			return nil, fmt.Errorf("the list of files broke off: %w", err)
		}
		if each.Path == "" {
			return listed, nil
		}
		if !filepath.IsLocal(each.Path) {
			return nil, fmt.Errorf("%q isn't below the folder", each.Path)
		}
		if c.copies(each.Path) {
			listed[each.Path] = each
		}
	}
}

// listHere returns the files that are here, as list does those of the source.
func (c *copier) listHere(ctx context.Context) (map[string]file, error) {
	all, err := c.place.list(ctx)
	if err != nil {
		return nil, err
	}
	for path := range all {
		if !c.copies(path) {
			delete(all, path)
		}
	}
	if !c.times {
		err = withContent(ctx, c.place, all)
	}
	return all, err
}

// copies says whether a path is of a file that is copied, and removed where the source doesn't have it. From
// node to node that is all there is: the volume is the registry's alone.
func (c *copier) copies(path string) bool {
	if c.name == "" {
		return true
	}
	switch {
	case strings.HasPrefix(path, kept), strings.HasPrefix(path, trash):
		return c.times || !isUpload(path)
	}
	return strings.HasPrefix(path, pushes) && c.place.keepsTimes() // else see notePushes
}

// same says whether two files of one path are the same.
func (c *copier) same(a, b file) bool {
	if c.times {
		return a.Size == b.Size && a.Time.Equal(b.Time)
	}
	return a.Size == b.Size && bytes.Equal(a.Content, b.Content)
}
