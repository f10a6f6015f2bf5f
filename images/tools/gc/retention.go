package main

import (
	"context"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// asideTags is the folder of a run in the trash that has its tags. No other part of a clean-up looks
// into it: a tag comes back by undo alone.
const asideTags = "tags"

// belonging matches tags that belong to a manifest by their names: those by which referrers are found
// in the absence of the API for it (OCI), and those of cosign, with an ending.
var belonging = regexp.MustCompile(`\A(sha(?:256|512)-[a-f0-9]{64})(?:[a-f0-9]{64})?(?:\..+)?\z`)

// subjectName returns what tags that belong to a manifest begin with: 64 characters are the most that
// are written of a digest.
func subjectName(d digest.Digest) string {
	encoded := d.Encoded()
	return d.Algorithm().String() + "-" + encoded[:min(64, len(encoded))]
}

// subjectOf returns what the name of a tag that belongs to a manifest says of it.
func subjectOf(tag string) string { return belonging.FindStringSubmatch(tag)[1] }

// tagNames is a set of tags.
type tagNames map[[2]string]struct{}

func (t tagNames) has(repository, tag string) bool {
	_, ok := t[[2]string{repository, tag}]
	return ok
}

// expire puts the tags aside that the rules let go. What they name stays for the collection.
func (c *collector) expire(ctx context.Context) error {
	names, err := c.store.Repositories(ctx)
	if err != nil {
		return err
	}
	unused := slices.Clone(c.opts.rules)
	c.marker.expired = tagNames{}
	last := time.Now()
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Since(last) > progressEvery {
			last = time.Now()
			c.log.Info("looking at tags", "repositories", i, "of", len(names))
		}
		unused = slices.DeleteFunc(unused, func(r rule) bool { return r.repositories.MatchString(name) })
		if rules := rulesFor(name, c.opts.rules); len(rules) > 0 {
			if err := c.expireIn(ctx, name, rules); err != nil {
				return err
			}
		}
	}
	for _, r := range unused {
		c.log.Warn("a rule of retention is for no repository that there is", "repositories", r.patterns)
	}
	return nil
}

// expireIn puts aside the tags of one repository.
func (c *collector) expireIn(ctx context.Context, name string, rules []rule) error {
	pushes, err := c.store.Pushes(ctx, name)
	if err != nil {
		return err
	}
	if pushes.Unsure(name) {
		c.log.Warn("the order is unknown in which tags were pushed, since a restore or an undo was "+
			"interrupted: none goes until it has run again", "repository", name)
		return nil
	}
	r, err := c.tagsOf(ctx, name, pushes)
	if err != nil || r == nil {
		return err
	}
	total := len(r.tags)
	gone, went, err := c.putTagsAside(ctx, name, c.ownTags(r, rules))
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // an image and its signatures go together
	if slices.ContainsFunc(mapKeys(r.tags), belonging.MatchString) {
		if r, err = c.tagsOf(ctx, name, pushes); err != nil { // anew: a tag may have come for what went
			return err
		}
		if r != nil {
			before, err := c.wentBefore(ctx, name)
			if err != nil {
				return err
			}
			followers, err := c.followers(ctx, name, r, rules, append(went, before...))
			if err != nil {
				return err
			}
			more, _, err := c.putTagsAside(ctx, name, followers)
			if err != nil {
				return err
			}
			gone += more
		}
	}
	c.summary.tagsGone += gone
	c.summary.tags += total - gone
	return nil
}

// tagsOf returns the tags and manifests of a repository, nil for one that has none.
func (c *collector) tagsOf(
	ctx context.Context, name string, pushes *storage.Pushes,
) (*repository, error) {
	all, err := c.marker.tree(ctx, path.Join("repositories", name, "_manifests"))
	if err != nil || all[name] == nil {
		return nil, err
	}
	for tagName, t := range all[name].tags {
		t.pushed = pushes.When(name, tagName, t.Written)
	}
	return all[name], nil
}

// ownTags returns the tags that the rules let go, without those that belong to another manifest.
func (c *collector) ownTags(r *repository, rules []rule) []candidate {
	var tags, broken []candidate
	for name, t := range r.tags {
		one := candidate{name, t.pushed, t.Youngest}
		switch {
		case belonging.MatchString(name):
		case t.current():
			tags = append(tags, one)
		case !protects(rules, name) && !anyRecent(rules, t.Youngest, c.store.Now()):
			broken = append(broken, one) // a run that was killed may leave such a tag
		}
	}
	old := slices.DeleteFunc(expired(rules, tags, c.store.Now()), func(t candidate) bool {
		return c.isPushed(r.tags[t.name], rules)
	})
	return append(old, broken...)
}

// isPushed returns whether somebody pushes a tag in this moment, as far as a listing shows it: a push writes
// its link last. Where times are in seconds, that may get the same time as what was listed, so the tag
// wouldn't be seen to change.
func (c *collector) isPushed(t *tag, rules []rule) bool {
	return t.Youngest.After(t.Link) && anyRecent(rules, t.Youngest, c.store.Now())
}

// followers returns the tags that belong to what has gone from a repository: to the manifests that
// went, unless another tag needs them, and to those that aren't there at all, if a rule lets tags of
// that age go.
func (c *collector) followers(
	ctx context.Context, name string, r *repository, rules []rule, went []digest.Digest,
) ([]candidate, error) {
	m := c.marker
	if err := m.readAll(ctx, map[string]*repository{name: r}, rubbish{}); err != nil {
		return nil, err
	}
	m.refer(r)
	rest := *r
	rest.tags = map[string]*tag{}
	var names []string
	for tagName, t := range r.tags {
		if !belonging.MatchString(tagName) || protects(rules, tagName) || c.isPushed(t, rules) {
			rest.tags[tagName] = t
		} else if t.current() {
			names = append(names, tagName)
		}
	}
	pending, err := m.resolveAll(ctx, name, names)
	if err != nil {
		return nil, err
	}
	for tagName, d := range pending {
		if d == "" || c.opts.keep.Has(d) {
			rest.tags[tagName] = r.tags[tagName]
			delete(pending, tagName)
		}
	}
	staying, err := m.tagged(ctx, name, &rest)
	if err != nil {
		return nil, err
	}
	for d := range r.revisions {
		if c.opts.keep.Has(d) {
			staying = append(staying, d)
		}
	}
	if _, err := c.follow(ctx, name, r, pending, staying); err != nil {
		return nil, err
	}
	var alone []string
	subjects := subjectNames(r.revisions)
	for tagName, d := range pending {
		_, ok := subjects[subjectOf(tagName)]
		if !ok && !anyRecent(rules, r.tags[tagName].pushed, c.store.Now()) {
			alone, went = append(alone, tagName), append(went, d)
			delete(pending, tagName)
		}
	}
	following, err := c.follow(ctx, name, r, pending, went)
	if err != nil {
		return nil, err
	}
	var tags []candidate
	for _, tagName := range append(alone, following...) {
		t := r.tags[tagName]
		tags = append(tags, candidate{tagName, t.pushed, t.Youngest})
	}
	return tags, nil
}

// follow takes the tags out of `pending` that belong to one of the manifests, to what these need, or
// to what such a tag names in turn, and returns them.
func (c *collector) follow(
	ctx context.Context, name string, r *repository, pending map[string]digest.Digest,
	manifests []digest.Digest,
) (following []string, err error) {
	reached := storage.Digests{}
	for {
		if err := c.marker.reach(ctx, name, r, manifests, rubbish{}, reached); err != nil {
			return nil, err
		}
		manifests = nil
		subjects := subjectNames(reached)
		for tagName, d := range pending {
			if _, ok := subjects[subjectOf(tagName)]; ok {
				following = append(following, tagName)
				manifests = append(manifests, d)
				delete(pending, tagName)
			}
		}
		if manifests == nil {
			return following, nil
		}
	}
}

// wentBefore returns what the tags of a repository name that are in the trash: a run that was killed may
// have left tags that belong to it.
func (c *collector) wentBefore(ctx context.Context, name string) (went []digest.Digest, err error) {
	names, err := runs(ctx, c.store)
	for _, run := range names {
		base := path.Join(storage.Trash, run, asideTags)
		var tags []storage.Stored
		err := c.store.Entries(ctx, base, path.Dir(tagFolder(name, "any")), func(s storage.Stored) {
			if s.Kind == storage.Current {
				tags = append(tags, s)
			}
		})
		if err != nil {
			return nil, err
		}
		for _, s := range tags {
			content, err := c.store.GetContent(ctx, base+"/"+s.File())
			if err != nil && !storage.Missing(err) {
				return nil, err
			}
			if d := digest.Digest(content); d.Validate() == nil {
				went = append(went, d)
			}
		}
	}
	return went, err
}

func subjectNames[V any](of map[digest.Digest]V) map[string]struct{} {
	names := make(map[string]struct{}, len(of))
	for d := range of {
		names[subjectName(d)] = struct{}{}
	}
	return names
}

func mapKeys[K comparable, V any](of map[K]V) []K {
	keys := make([]K, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	return keys
}
