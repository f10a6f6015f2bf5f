package storage

import (
	"context"
	"encoding/json"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"golang.org/x/sync/errgroup"
)

// A tag was pushed when its link was written. A copy writes the link anew, and the order in which tags
// were pushed would be lost, by which retention decides. So whoever copies tags to a store notes there
// when they were pushed, in one file for each repository.

// notedPushes is the folder of these files.
const notedPushes = "/docker/registry/pushes"

// push is when a tag was pushed whose files are a copy.
type push struct {
	Pushed time.Time `json:"pushed"`
	// When the youngest of its files was written: one that is younger is of a push. Zero while it is copied.
	Copied time.Time `json:"copied"`
}

// pushesFile returns the path of a repository's file; no name of a repository begins with an underscore.
func pushesFile(repository string) string { return path.Join(notedPushes, repository, "_tags.json") }

// Pushes are the times at which tags were pushed, where their files say something else.
type Pushes struct {
	noted  map[string]map[string]push
	unsure map[string]struct{}
}

// Pushes returns those of one repository, or of all for "".
func (s *Store) Pushes(ctx context.Context, repository string) (*Pushes, error) {
	p := &Pushes{map[string]map[string]push{}, map[string]struct{}{}}
	names := []string{repository}
	if repository == "" {
		var err error
		if names, err = s.NotedBelow(ctx, notedPushes, path.Base(pushesFile(""))); err != nil {
			return nil, err
		}
	}
	var mutex sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, name := range names {
		group.Go(func() error {
			noted, err := readPushes(ctx, s, name)
			mutex.Lock()
			defer mutex.Unlock()
			p.add(name, noted)
			return err
		})
	}
	return p, group.Wait()
}

// add adds what is noted of a repository, nil where that can't be read.
func (p *Pushes) add(repository string, noted map[string]push) {
	p.noted[repository] = noted
	if noted == nil {
		p.unsure[repository] = struct{}{}
	}
	for _, one := range noted {
		if one.Copied.IsZero() {
			p.unsure[repository] = struct{}{}
		}
	}
}

// Unsure returns whether the order is unknown in which a repository's tags were pushed: a copy has been
// interrupted.
func (p *Pushes) Unsure(repository string) bool { _, ok := p.unsure[repository]; return ok }

// Written is when the files of a tag were written.
type Written struct {
	Link     time.Time // its current link; zero without one
	Youngest time.Time // that one or its history, which may be of a push under way
}

// Add adds a file of the tag.
func (w *Written) Add(e Stored) {
	if e.Kind == Current {
		w.Link = e.Changed
	}
	if e.Changed.After(w.Youngest) {
		w.Youngest = e.Changed
	}
}

// When returns when a tag was pushed, from when its files were written.
func (p *Pushes) When(repository, tag string, written Written) time.Time {
	one, ok := p.noted[repository][tag]
	if ok && (one.Copied.IsZero() || one.holds(written.Youngest)) {
		return one.Pushed
	}
	return written.Link
}

// holds returns whether there has been no push since, from when the youngest of the tag's files was written.
func (p push) holds(youngest time.Time) bool { return !youngest.After(p.Copied) }

// NotedBelow returns the repositories for which there is a file FOLDER/REPOSITORY/FILE.
func (s *Store) NotedBelow(ctx context.Context, folder, file string) (names []string, err error) {
	err = s.Files(ctx, folder, func(info driver.FileInfo) {
		name, is := strings.CutSuffix(strings.TrimPrefix(info.Path(), folder+"/"), "/"+file)
		if is {
			names = append(names, name)
		}
	})
	return names, err
}

// readPushes returns what is noted of a repository; nil where it can't be read.
func readPushes(ctx context.Context, s *Store, repository string) (map[string]push, error) {
	noted := map[string]push{}
	content, err := s.GetContent(ctx, pushesFile(repository))
	if Missing(err) {
		return noted, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(content, &noted) != nil {
		return nil, nil
	}
	return noted, nil
}

// writePushes notes the pushes of a repository.
func writePushes(ctx context.Context, s *Store, repository string, noted map[string]push) error {
	if len(noted) == 0 {
		if err := s.Delete(ctx, pushesFile(repository)); !Missing(err) {
			return err
		}
		return nil
	}
	content, err := json.Marshal(noted)
	if err != nil {
		return err
	}
	return s.PutContent(ctx, pushesFile(repository), content)
}
