package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"registry.local/images/tools/storage"
)

const (
	runFormat     = "20060102T150405Z"
	progressEvery = 10 * time.Second
)

// retryEvery is how long after a failure the cache is flushed again.
var retryEvery = time.Second

// options of a collection.
type options struct {
	grace      time.Duration // what changed less than this ago stays
	trash      time.Duration // how long the trash keeps what a run put aside
	secondLook time.Duration // from a run's first look at what it did to the second
	dryRun     bool
	untagged   bool
	keep       storage.Digests // manifests that stay without a tag, and keep those that they have
	rules      []rule          // of retention: tags that they let go, go first
	tagsOnly   bool            // nothing but these tags goes
}

// summary is what a run did, or would do.
type summary struct {
	run          string
	interrupted  bool
	tags         int // kept by rules of retention
	tagsGone     int
	repositories int
	manifests    int // kept
	blobs        int // kept
	young        int // blobs that nothing needs, kept for the time of grace
	gone         struct{ manifests, blobs, links int }
	goneBytes    int64
	back         int // entries brought back
	removed      int // blobs removed from the trash for good
	removedBytes int64
	duration     time.Duration
}

// LogValue returns the summary as it is logged.
func (s summary) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("run", s.run),
		slog.Bool("interrupted", s.interrupted),
		slog.Int("tags_kept", s.tags),
		slog.Int("tags_aside", s.tagsGone),
		slog.Int("repositories", s.repositories),
		slog.Int("manifests_kept", s.manifests),
		slog.Int("blobs_kept", s.blobs),
		slog.Int("blobs_young", s.young),
		slog.Int("manifests_aside", s.gone.manifests),
		slog.Int("blobs_aside", s.gone.blobs),
		slog.Int("links_aside", s.gone.links),
		slog.Int64("bytes_aside", s.goneBytes),
		slog.Int("brought_back", s.back),
		slog.Int("blobs_removed", s.removed),
		slog.Int64("bytes_removed", s.removedBytes),
		slog.Float64("seconds", s.duration.Seconds()),
	)
}

// collector cleans up a registry's storage.
type collector struct {
	store *storage.Store
	cache cache
	log   *slog.Logger
	opts  options

	marker  *marker
	summary summary
}

// run collects once. When ctx ends, it stops at a safe point and says so in the summary.
func (c *collector) run(ctx context.Context) (err error) {
	began := c.store.Now()
	c.marker = newMarker(c.store, c.opts.grace, c.log)
	c.summary = summary{run: began.UTC().Format(runFormat)}
	defer func() {
		if ctx.Err() != nil {
			if err != nil { // the end of ctx itself, in the words of the driver, or what it met
				c.log.Warn("interrupted", "error", err.Error())
			}
			err, c.summary.interrupted = nil, true
		}
		c.summary.duration = c.store.Now().Sub(began)
		if err == nil {
			c.log.Info("done", "dry_run", c.opts.dryRun, "tags_only", c.opts.tagsOnly, "summary", c.summary)
		}
	}()
	if c.opts.tagsOnly { // which no cache remembers
		return c.expire(ctx)
	}
	if !c.opts.dryRun {
		if err := c.cache.flush(ctx); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
	}
	old, err := c.trash(ctx)
	if err != nil {
		return err
	}
	if !c.opts.dryRun && len(old.entries) > 0 { // what an interrupted run may have left to do
		if err := c.look(ctx, old); err != nil {
			return err
		}
	}
	if err := c.empty(ctx, old); err != nil {
		return err
	}
	if len(c.opts.rules) > 0 {
		if err := c.expire(ctx); err != nil {
			return err
		}
	}
	blobs, err := c.blobs(ctx) // before the marking: a blob that comes later is no candidate
	if err != nil {
		return err
	}
	candidates, err := c.candidates(ctx, blobs)
	if err != nil {
		return err
	}
	if c.opts.dryRun {
		for _, s := range candidates {
			c.summary.count(s)
			c.log.Info("would go", "path", s.File(), "bytes", s.Size)
		}
		return nil
	}
	if len(candidates) == 0 {
		return nil
	}
	return c.sweep(ctx, candidates)
}

// sweep puts the candidates aside and then looks, twice, at what came of it.
func (c *collector) sweep(ctx context.Context, candidates []storage.Stored) error {
	var going summary
	for _, s := range candidates {
		going.count(s)
	}
	c.log.Info("putting aside", "manifests", going.gone.manifests, "blobs", going.gone.blobs,
		"links", going.gone.links, "bytes", going.goneBytes)
	failure := c.asideAll(ctx, candidates)
	// This much is done even when it is to end now.
	after := context.WithoutCancel(ctx)
	if err := c.flush(after); err != nil {
		// The registry takes what has gone for present, so that it must not be gone.
		_, undone := undo(after, c.store, c.summary.run)
		return errors.Join(failure, fmt.Errorf("this run is undone: %w", err), undone)
	}
	if err := c.lookAtAll(after); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil || ctx.Err() != nil {
		return failure
	}
	c.log.Info("put aside; looking again", "in", c.opts.secondLook.String())
	if storage.Pause(ctx, c.opts.secondLook); ctx.Err() != nil { // for requests that were under way
		return nil
	}
	if err := c.flush(after); err != nil {
		return err
	}
	return c.lookAtAll(after)
}

// flush empties the descriptor cache; it tries a few times.
func (c *collector) flush(ctx context.Context) (err error) {
	for range 5 {
		if err = c.cache.flush(ctx); err == nil {
			return nil
		}
		c.log.Warn("the cache can't be flushed, yet", "error", err.Error())
		time.Sleep(retryEvery)
	}
	return err
}

// trash returns what all runs have put aside.
func (c *collector) trash(ctx context.Context) (rubbish, error) {
	all := rubbish{files: map[storage.Entry]string{}}
	runs, err := runs(ctx, c.store)
	if err != nil {
		return all, err
	}
	for _, run := range runs {
		err := c.store.Entries(ctx, storage.Trash+"/"+run, "", func(s storage.Stored) {
			one := trashed{s, run}
			all.entries = append(all.entries, one)
			all.files[s.Entry] = one.File()
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// runs returns the runs that have something in the trash, the oldest first.
func runs(ctx context.Context, s *storage.Store) ([]string, error) {
	children, err := s.List(ctx, storage.Trash)
	if err != nil && !storage.Missing(err) {
		return nil, err
	}
	var names []string
	for _, child := range children {
		name := path.Base(child)
		if _, err := time.Parse(runFormat, name); err == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

func (c *collector) lookAtAll(ctx context.Context) error {
	all, err := c.trash(ctx)
	if err != nil || len(all.entries) == 0 {
		return err
	}
	return c.look(ctx, all)
}

// look brings back from the trash what a manifest or a tag needs.
func (c *collector) look(ctx context.Context, from rubbish) error {
	needed, err := c.marker.complete(ctx, from)
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var mutex sync.Mutex
	for _, t := range from.entries {
		if !needed.has(t.Entry) {
			continue
		}
		group.Go(func() error {
			moved, err := bringBack(inner, c.store, t)
			if moved {
				mutex.Lock()
				defer mutex.Unlock()
				c.summary.back++
				c.log.Info("brought back", "path", t.Entry.File(), "run", t.run)
			}
			return err
		})
	}
	return group.Wait()
}

// has returns whether an entry has to stay.
func (m *marking) has(e storage.Entry) bool {
	if e.Kind == storage.Blob {
		return m.blobs.Has(e.Digest)
	}
	r := m.repositories[e.Repository]
	return r != nil && r.needed.Has(e.Digest)
}

// bringBack moves an entry from the trash to the tree, and returns whether it was missing there.
func bringBack(ctx context.Context, s *storage.Store, t trashed) (bool, error) {
	to := storage.Root + "/" + t.Entry.File()
	if _, err := s.Stat(ctx, to); !storage.Missing(err) {
		return false, err
	}
	// Moved whole even when the run ends now: half a move would leave a copy in both places.
	err := s.Move(context.WithoutCancel(ctx), t.File(), to)
	if storage.Missing(err) {
		return false, nil
	}
	return err == nil, err
}

// empty deletes the runs that have been in the trash for long enough; a dry run counts them.
func (c *collector) empty(ctx context.Context, all rubbish) error {
	names, err := runs(ctx, c.store)
	if err != nil {
		return err
	}
	for _, run := range names {
		since, _ := time.Parse(runFormat, run)
		if since.Add(c.opts.trash).After(c.store.Now()) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		blobs, bytes := all.sizes(run)
		log := c.log.With("run", run, "blobs", blobs, "bytes", bytes)
		if c.opts.dryRun {
			log.Info("would be removed from the trash")
		} else {
			log.Info("removing from the trash")
			if err := c.store.Delete(ctx, storage.Trash+"/"+run); err != nil && !storage.Missing(err) {
				return err
			}
		}
		c.summary.removed += blobs
		c.summary.removedBytes += bytes
	}
	return nil
}

// blobs returns all blobs.
func (c *collector) blobs(ctx context.Context) ([]storage.Stored, error) {
	var all []storage.Stored
	err := c.store.Entries(ctx, storage.Root, "blobs", func(s storage.Stored) { all = append(all, s) })
	return all, err
}

// candidates returns what may go, in the order in which it goes: what refers, then what is referred to.
func (c *collector) candidates(ctx context.Context, blobs []storage.Stored) ([]storage.Stored, error) {
	find := c.marker.complete
	if c.opts.untagged {
		find = func(ctx context.Context, _ rubbish) (*marking, error) {
			return c.marker.wanted(ctx, c.opts.keep)
		}
	}
	keep, err := find(ctx, rubbish{})
	if err != nil {
		return nil, err
	}
	if len(keep.repositories) == 0 && len(blobs) > 0 {
		return nil, fmt.Errorf(
			"%d blobs, but no repositories, in %s/repositories: nothing was changed. "+
				"Is all of the registry's storage there?", len(blobs), storage.Root)
	}
	var links, rest []storage.Stored
	for name, r := range keep.repositories {
		c.summary.repositories++
		gone := storage.Digests{}
		for d, changed := range r.revisions {
			if r.needed.Has(d) {
				c.summary.manifests++
				continue
			}
			gone.Add(d)
			one := storage.Entry{Kind: storage.Revision, Repository: name, Digest: d}
			links = append(links, storage.Stored{Entry: one, Changed: changed})
		}
		for tagName, t := range r.tags {
			for _, d := range t.history {
				if gone.Has(d) {
					one := storage.Entry{Kind: storage.History, Repository: name, Tag: tagName, Digest: d}
					links = append(links, storage.Stored{Entry: one})
				}
			}
		}
		for d, changed := range r.layers {
			if !r.needed.Has(d) {
				one := storage.Entry{Kind: storage.Layer, Repository: name, Digest: d}
				links = append(links, storage.Stored{Entry: one, Changed: changed})
			}
		}
	}
	for _, s := range blobs {
		switch {
		case keep.blobs.Has(s.Digest):
			c.summary.blobs++
		case c.marker.young(s.Changed):
			c.summary.young++
		default:
			rest = append(rest, s)
		}
	}
	return append(links, rest...), nil
}

// count adds an entry that went.
func (s *summary) count(one storage.Stored) {
	switch one.Kind {
	case storage.Blob:
		s.gone.blobs++
		s.goneBytes += one.Size
	case storage.Revision:
		s.gone.manifests++
	default:
		s.gone.links++
	}
}

// asideAll puts the candidates aside, links first.
func (c *collector) asideAll(ctx context.Context, candidates []storage.Stored) error {
	first := sort.Search(len(candidates), func(i int) bool { return candidates[i].Kind == storage.Blob })
	var mutex sync.Mutex
	last, done := time.Now(), 0
	for _, part := range [][]storage.Stored{candidates[:first], candidates[first:]} {
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(workers)
		for _, s := range part {
			if inner.Err() != nil {
				break
			}
			group.Go(func() error {
				gone, err := c.aside(inner, s)
				mutex.Lock()
				defer mutex.Unlock()
				if gone {
					c.summary.count(s)
				}
				if done++; time.Since(last) > progressEvery {
					last = time.Now()
					c.log.Info("putting aside", "done", done, "of", len(candidates))
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// aside moves an entry to the trash unless it has changed of late, and returns whether it did.
func (c *collector) aside(ctx context.Context, s storage.Stored) (bool, error) {
	info, err := c.store.Stat(ctx, storage.Root+"/"+s.File())
	if storage.Missing(err) || (err == nil && c.marker.young(info.ModTime())) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	into := storage.Trash + "/" + c.summary.run + "/"
	from, to := s.File(), s.File()
	if c.store.MovesFolders() {
		from, to = s.Folder(), s.Folder()
	}
	whole := context.WithoutCancel(ctx) // a move is never half done
	if err := c.store.Move(whole, storage.Root+"/"+from, into+to); err != nil {
		if storage.Missing(err) {
			return false, nil
		}
		return false, err
	}
	if !c.store.MovesFolders() { // the move made it young
		return true, nil
	}
	info, err = c.store.Stat(whole, into+s.File())
	if err == nil && c.marker.young(info.ModTime()) { // written between the two steps above
		_, err = bringBack(whole, c.store, trashed{s, c.summary.run})
		return false, err
	}
	return true, nil
}

// undo brings back all that a run put aside, and returns how many entries and tags.
func undo(ctx context.Context, s *storage.Store, run string) (int, error) {
	var all []trashed
	err := s.Entries(ctx, storage.Trash+"/"+run, "", func(e storage.Stored) {
		all = append(all, trashed{e, run})
	})
	if err != nil {
		return 0, err
	}
	// What is referred to first: nothing is there before what it needs.
	sort.SliceStable(all, func(i, j int) bool { return all[i].Kind < all[j].Kind })
	back := 0
	for _, t := range all {
		if err := ctx.Err(); err != nil {
			return back, err
		}
		moved, err := bringBack(ctx, s, t)
		if err != nil {
			return back, err
		}
		if moved {
			back++
		}
	}
	tags, lost, err := undoTags(ctx, s, run)
	back += tags
	switch {
	case err != nil:
		return back, err
	case lost > 0:
		return back, fmt.Errorf("%d tags can't come back, since a later run put aside the manifests "+
			"that they name: undo that run first", lost)
	}
	// What is left is in the tree as well.
	if err := s.Delete(ctx, storage.Trash+"/"+run); err != nil && !storage.Missing(err) {
		return back, err
	}
	return back, nil
}

// lastRun returns the name of a run in the trash; "last" is the newest.
func lastRun(ctx context.Context, s *storage.Store, name string) (string, error) {
	names, err := runs(ctx, s)
	if err != nil {
		return "", err
	}
	for i := len(names) - 1; i >= 0; i-- {
		if name == "last" || names[i] == name {
			return names[i], nil
		}
	}
	if len(names) == 0 {
		return "", errors.New("the trash is empty: no run can be undone")
	}
	return "", fmt.Errorf("no run %s in the trash: it has %s", name, strings.Join(names, ", "))
}
