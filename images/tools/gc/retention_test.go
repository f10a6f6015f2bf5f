package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/pattern"
	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// dated is a driver in memory whose files may be older than they are.
type dated struct {
	driver.StorageDriver
	mutex sync.Mutex
	times map[string]time.Time
}

func (d *dated) Stat(ctx context.Context, path string) (driver.FileInfo, error) {
	info, err := d.StorageDriver.Stat(ctx, path)
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if changed, ok := d.times[path]; ok && err == nil {
		return driver.FileInfoInternal{FileInfoFields: driver.FileInfoFields{
			Path: info.Path(), Size: info.Size(), IsDir: info.IsDir(), ModTime: changed,
		}}, nil
	}
	return info, err
}

func (d *dated) forget(path string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	delete(d.times, path)
}

func (d *dated) PutContent(ctx context.Context, path string, content []byte) error {
	d.forget(path)
	return d.StorageDriver.PutContent(ctx, path, content)
}

func (d *dated) Move(ctx context.Context, from, to string) error {
	d.forget(from)
	return d.StorageDriver.Move(ctx, from, to)
}

// onDated runs a test on files and in memory, where tags may have been pushed at any time.
func onDated(t *testing.T, test func(*place)) {
	t.Run("files", func(t *testing.T) { test(onFiles(t)) })
	t.Run("memory", func(t *testing.T) { test(inMemory(t)) })
}

func inMemory(t *testing.T) *place {
	return newPlace(t, &dated{StorageDriver: inmemory.New(), times: map[string]time.Time{}})
}

// pushed makes a tag name a manifest as if it had been pushed that long ago.
func (p *place) pushed(repository, tag string, d digest.Digest, ago time.Duration) {
	p.Helper()
	p.Tag(repository, tag, d)
	for _, e := range []storage.Entry{
		{Kind: storage.History, Repository: repository, Tag: tag, Digest: d},
		{Kind: storage.Current, Repository: repository, Tag: tag},
	} {
		file, at := storage.Root+"/"+e.File(), time.Now().Add(-ago)
		if memory, ok := p.StorageDriver.(*dated); ok {
			memory.times[file] = at
		} else if err := os.Chtimes(filepath.Join(p.folder, file), at, at); err != nil {
			p.Fatal(err)
		}
	}
}

// tags returns what the tags of a repository name.
func (p *place) tags(repository string) map[string]digest.Digest {
	p.Helper()
	m := newMarker(p.Store, 0, discard)
	all, err := m.tree(context.Background(), "repositories/"+repository)
	if err != nil {
		p.Fatal(err)
	}
	if all[repository] == nil {
		return nil
	}
	named, err := m.resolveAll(context.Background(), repository, mapKeys(all[repository].tags))
	if err != nil {
		p.Fatal(err)
	}
	return named
}

func without(list []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(names, one) })
}

// hasTags fails unless a repository has just these tags.
func (p *place) hasTags(what, repository string, wanted ...string) {
	p.Helper()
	got := slices.Sorted(maps.Keys(p.tags(repository)))
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		more, less := without(got, wanted...), without(wanted, got...)
		p.Errorf("%s: %s has too many %v, too few %v", what, repository, more, less)
	}
	if p.folder != "" { // as the registry lists them
		tags := filepath.Join(storage.Root, "repositories", repository, "_manifests/tags/*")
		folders, _ := filepath.Glob(filepath.Join(p.folder, tags))
		if len(folders) != len(wanted) {
			p.Errorf("%s: %s has folders %v, wanted %v", what, repository, folders, wanted)
		}
	}
}

var discard = slog.New(slog.DiscardHandler)

func lets(repositories string, keep int, olderThan time.Duration, never ...string) rule {
	names := []string{repositories}
	return rule{names, pattern.Names(names), keep, olderThan, pattern.Names(never)}
}

// retain has only the tags go that the rules let go.
func retain(rules ...rule) func(*options) {
	return func(o *options) { o.tagsOnly, o.rules = true, rules }
}

func dry(o *options) { o.dryRun = true }

func TestOnlyTagsGoThatEveryRuleLetsGo(t *testing.T) {
	onDated(t, func(p *place) {
		image := p.Image("team/app", p.Layer("team/app", "content"))
		other := p.Image("other", p.Layer("other", "content"))
		for i, tag := range []string{"b1", "b2", "b3", "b4", "b5", "b6"} {
			p.pushed("team/app", tag, image, time.Duration(i+1)*10*day)
		}
		p.pushed("team/app", "v1.0", image, 90*day)
		p.pushed("team/app", "latest", image, 5*day)
		p.pushed("other", "old", other, 900*day)

		team := lets("team/**", 2, 25*day, "v*", "latest")
		all := []string{"b1", "b2", "b3", "b4", "b5", "b6", "v1.0", "latest"}
		if s := p.mustCollect(retain(team), dry); s.tagsGone != 4 || s.tags != 4 {
			t.Errorf("a dry run counts: %+v", s)
		}
		p.hasTags("after a dry run", "team/app", all...)
		p.mustCollect(retain(team, lets("**", 100, 0)))
		p.hasTags("another rule keeps more of them", "team/app", all...)
		p.mustCollect(retain(team, lets("team/*", 0, 45*day, "b6")))
		p.hasTags("two rules", "team/app", "b1", "b2", "b3", "b4", "b6", "v1.0", "latest")
		s := p.mustCollect(retain(team))
		p.hasTags("one rule", "team/app", "b1", "b2", "v1.0", "latest")
		p.hasTags("no rule", "other", "old")
		if s.tagsGone != 3 || s.tags != 4 || s.gone.blobs+s.gone.manifests+s.gone.links != 0 {
			t.Errorf("%+v", s)
		}
		p.hasBlob("the image", image, true)
		if s := p.mustCollect(retain(team)); s.tagsGone != 0 {
			t.Errorf("again: %+v", s)
		}
	})
}

func TestOfTagsPushedAtOnceAllStayOrNone(t *testing.T) {
	now := time.Now()
	var tags []candidate
	for i := range 10 {
		tags = append(tags, candidate{name: fmt.Sprint("t", i), pushed: now.Add(-day)})
	}
	if gone := expired([]rule{lets("**", 3, time.Hour)}, tags, now); len(gone) != 0 {
		t.Errorf("restored from a copy, all of them are as young: %v", gone)
	}
	if gone := expired([]rule{lets("**", 0, time.Hour)}, tags, now); len(gone) != 10 {
		t.Errorf("none is to stay: %v", gone)
	}
}

func TestWhatAServiceRunsStays(t *testing.T) {
	onDated(t, func(p *place) {
		runs, other := p.Image("app", p.Layer("app", "a")), p.Image("app", p.Layer("app", "b"))
		p.pushed("app", "runs", runs, 50*day)
		p.pushed("app", "same", runs, 60*day)
		p.pushed("app", "other", other, 40*day)
		p.pushed("app", subjectName(runs)+".sig", p.Image("app", p.Layer("app", "c")), 50*day)
		p.mustCollect(retain(lets("**", 0, day)), func(o *options) { o.keep = storage.Digests{runs: {}} })
		p.hasTags("in use", "app", "runs", "same", subjectName(runs)+".sig")
	})
}

func TestTagsThatBelongToAManifestFollowIt(t *testing.T) {
	onDated(t, func(p *place) {
		image := func(content string) digest.Digest { return p.Image("app", p.Layer("app", content)) }
		old, young, untagged, part := image("old"), image("young"), image("untagged"), image("part")
		index := p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(part)})
		statement := p.Manifest("app", registrytest.Fields{
			"layers": registrytest.Named(), "subject": registrytest.Fields{"digest": old},
		})
		// What refers to the old image, in the absence of the API for it.
		list := p.Manifest("app", registrytest.Fields{"manifests": registrytest.Named(statement)})
		absent, long := digest.FromString("absent"), digest.SHA512.FromString("absent, too")
		p.pushed("app", "old", old, 50*day)
		p.pushed("app", "multi", index, 50*day)
		p.pushed("app", "young", young, time.Hour)
		p.pushed("app", "sha256-short", old, time.Hour) // a tag like any other
		p.pushed("app", subjectName(old), list, 50*day)
		belong := func(d digest.Digest, ending string, ago time.Duration) string {
			tag := subjectName(d) + ending
			p.pushed("app", tag, image("for "+tag), ago)
			return tag
		}
		ofOld := []string{
			subjectName(old), belong(old, ".sig", time.Hour), belong(old, ".att", 50*day),
			belong(statement, ".sig", 50*day), belong(list, ".sig", 50*day),
		}
		gone := []string{
			belong(part, ".sig", time.Hour), belong(absent, ".sbom", 50*day), belong(long, "", 50*day),
		}
		stay := []string{
			"young", belong(young, ".sig", 50*day), belong(young, "", 50*day),
			belong(untagged, ".sig", 50*day),
		}
		early := belong(digest.FromString("not pushed yet"), ".sig", time.Hour)

		never := belong(absent, ".keep", 50*day)
		p.mustCollect(retain(lets("**", 0, day, "*.keep")))
		p.hasTags("one tag of it is left", "app",
			slices.Concat(stay, ofOld, []string{"sha256-short", early, never})...)
		p.later = 2 * day
		s := p.mustCollect(retain(lets("**", 0, day, "young")))
		p.hasTags("none is left", "app", stay...)
		if s.tags != len(stay) || s.tagsGone != len(ofOld)+3 || len(gone) != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatIsPushedWhileATagGoesStays(t *testing.T) {
	onDated(t, func(p *place) {
		old, fresh := p.Image("app", p.Layer("app", "old")), p.Image("app", p.Layer("app", "fresh"))
		link := storage.Entry{Kind: storage.History, Repository: "app", Tag: "t", Digest: fresh}
		for name, push := range map[string]func(){
			"a whole push":   func() { p.Tag("app", "t", fresh) },
			"half a push":    func() { p.Link(link) },
			"the same again": func() { p.Tag("app", "t", old) },
		} {
			p.later += time.Second // each run has its own name
			p.pushed("app", "t", old, 50*day)
			p.hook = func(string) error {
				p.hook = nil
				push()
				return nil
			}
			p.mustCollect(retain(lets("**", 0, day)))
			if name == "half a push" { // its other half
				p.Put(storage.Entry{Kind: storage.Current, Repository: "app", Tag: "t"}.File(), fresh.String())
			}
			wanted := fresh
			if name == "the same again" {
				wanted = old
			}
			if got := p.tags("app")["t"]; got != wanted {
				t.Errorf("%s: the tag names %q, wanted %s", name, got, wanted)
			}
		}
	})
}

func TestUndoBringsTagsBack(t *testing.T) {
	onDated(t, func(p *place) {
		old, fresh := p.Image("app", p.Layer("app", "old")), p.Image("app", p.Layer("app", "fresh"))
		for _, tag := range []string{"a", "b"} {
			p.pushed("app", tag, old, 50*day)
		}
		p.pushed("app", subjectName(old)+".sig", p.Image("app", p.Layer("app", "c")), 50*day)
		p.mustCollect(retain(lets("**", 0, day)))
		p.hasTags("after retention", "app")
		p.Tag("app", "b", fresh)

		p.later = 3 * day // the collection takes the image, too
		s := p.mustCollect(untagged(fresh))
		if s.gone.manifests != 2 {
			t.Fatalf("%+v", s)
		}
		first, _ := runs(context.Background(), p.Store)
		_, err := undo(context.Background(), p.Store, first[0])
		if err == nil || !strings.Contains(err.Error(), "2 tags can't come back") {
			t.Errorf("its manifest isn't there: %v", err)
		}
		p.hasTags("undone too early", "app", "b")
		for i := len(first) - 1; i >= 0; i-- {
			if _, err := undo(context.Background(), p.Store, first[i]); err != nil {
				t.Fatal(err)
			}
		}
		p.hasTags("undone", "app", "a", "b", subjectName(old)+".sig")
		if tags := p.tags("app"); tags["a"] != old || tags["b"] != fresh {
			t.Errorf("%v", tags)
		}
		if left, _ := runs(context.Background(), p.Store); left != nil {
			t.Errorf("left in the trash: %v", left)
		}
	})
}

// Also what a run has put aside of tags isn't brought back by its second look, which looks for content.
func TestTagsGoAndTheirManifestsWithThem(t *testing.T) {
	onDated(t, func(p *place) {
		shared := p.Layer("app", "shared")
		old, young := p.Image("app", shared, p.Layer("app", "old")), p.Image("app", shared)
		p.pushed("app", "old", old, 50*day)
		p.pushed("app", "again", young, 50*day)
		p.pushed("app", "young", young, time.Hour)
		p.later = 2 * day
		both := func(o *options) { o.untagged, o.rules = true, []rule{lets("**", 1, 3*day)} }
		if s := p.mustCollect(both, dry); s.tagsGone != 2 || s.gone.manifests != 1 || s.gone.blobs != 2 {
			t.Errorf("a dry run shows what would go with the tags: %+v", s)
		}
		if s := p.mustCollect(both); s.tagsGone != 2 || s.gone.manifests != 1 || s.gone.blobs != 2 ||
			s.back != 0 {
			t.Errorf("%+v", s)
		}
		p.hasTags("the rest", "app", "young")
		p.hasBlob("shared", shared, true)
		p.hasBlob("old", old, false)
		if _, err := undo(context.Background(), p.Store, mustLast(p)); err != nil {
			t.Error(err)
		}
		p.hasTags("undone as a whole", "app", "old", "again", "young")
		p.hasBlob("old", old, true)
	})
}

func mustLast(p *place) string {
	p.Helper()
	run, err := lastRun(context.Background(), p.Store, "last")
	if err != nil {
		p.Fatal(err)
	}
	return run
}

func TestRulesThatCantBeMeant(t *testing.T) {
	for content, wanted := range map[string]string{
		`[]`:                            "no rule",
		`{}`:                            "cannot unmarshal",
		`[{"keep":1,"olderThan":"1h"}]`: "rule 1: repositories is missing",
		`[{"repositories":["a"],"olderThan":"1h"}]`:                       "keep is missing",
		`[{"repositories":["a"],"keep":-1,"olderThan":"1h"}]`:             "keep is missing or negative",
		`[{"repositories":["a"],"keep":1}]`:                               `olderThan is ""`,
		`[{"repositories":["a"],"keep":1,"olderThan":"30d"}]`:             `olderThan is "30d"`,
		`[{"repositories":["a"],"keep":1,"olderThan":"-1h"}]`:             "olderThan",
		`[{"repositories":["a"],"keep":1,"olderThan":"1h","nevr":["v"]}]`: "nevr",
	} {
		if _, err := readRules(write(t, content)); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v, wanted %s", content, err, wanted)
		}
	}
	rules, err := readRules(write(t, `[{"repositories":["a","b/*"],"keep":0,"olderThan":"1h"}]`))
	if err != nil || len(rulesFor("b/c", rules)) != 1 || rulesFor("b/c/d", rules) != nil ||
		protects(rules, "latest") {
		t.Errorf("%v %v", rules, err)
	}
}

// world is what the model knows of a repository.
type world struct {
	tags    map[string]digest.Digest
	ages    map[string]time.Duration
	parts   map[digest.Digest][]digest.Digest // what a manifest needs, and what belongs to it
	present storage.Digests
}

// left returns the tags that have to be left, said as the documentation says it.
func (w world) left(rules []rule, keep storage.Digests) []string {
	left, own := map[string]bool{}, []string{}
	for tag := range w.tags {
		if !strings.HasPrefix(tag, "sha256-") {
			own = append(own, tag)
		}
	}
	for _, tag := range own {
		left[tag] = len(rules) == 0 || keep.Has(w.tags[tag])
		for _, r := range rules {
			younger := 0
			for _, other := range own {
				if w.ages[other] < w.ages[tag] && !r.never.MatchString(other) {
					younger++
				}
			}
			if r.never.MatchString(tag) || w.ages[tag] < r.olderThan || younger < r.keep {
				left[tag] = true
			}
		}
	}
	for tag, d := range w.tags {
		if strings.HasPrefix(tag, "sha256-") && (len(rules) == 0 || keep.Has(d) || protects(rules, tag)) {
			left[tag] = true
		}
	}
	// belongs has the tags follow that belong to what some tags reach.
	belongs := func(start func(tag string) bool, follow func(tag string)) {
		reached := storage.Digests{}
		var reach func(digest.Digest)
		reach = func(d digest.Digest) {
			if !reached.Has(d) {
				reached.Add(d)
				for _, part := range w.parts[d] {
					reach(part)
				}
			}
		}
		for tag, d := range w.tags {
			if start(tag) {
				reach(d)
			}
		}
		if start("") {
			for d := range keep {
				reach(d)
			}
		}
		for range w.tags { // as deep as it can get
			for tag, d := range w.tags {
				if hex, ok := strings.CutPrefix(tag, "sha256-"); ok &&
					reached.Has(digest.Digest("sha256:"+strings.TrimSuffix(hex, ".sig"))) {
					follow(tag)
					reach(d)
				}
			}
		}
	}
	stay, gone := maps.Clone(left), map[string]bool{}
	belongs(func(tag string) bool { return tag == "" || stay[tag] }, func(tag string) { left[tag] = true })
	for tag := range w.tags {
		hex, ok := strings.CutPrefix(tag, "sha256-")
		subject := digest.Digest("sha256:" + strings.TrimSuffix(hex, ".sig"))
		young := slices.ContainsFunc(rules, func(r rule) bool { return w.ages[tag] < r.olderThan })
		gone[tag] = !left[tag] && (!ok || (!w.present.Has(subject) && !young))
	}
	first := maps.Clone(gone)
	belongs(func(tag string) bool { return first[tag] }, func(tag string) { gone[tag] = !left[tag] })
	for tag := range w.tags {
		left[tag] = !gone[tag]
	}
	var names []string
	for tag := range left {
		if left[tag] {
			names = append(names, tag)
		}
	}
	return names
}

// build pushes images, indexes and signatures at random, and returns what there is.
func build(p *place, random *rand.Rand, repository string) world {
	w := world{map[string]digest.Digest{}, map[string]time.Duration{},
		map[digest.Digest][]digest.Digest{}, storage.Digests{}}
	var all []digest.Digest
	push := func(tag string, d digest.Digest) {
		if _, ok := w.tags[tag]; ok {
			return
		}
		age := time.Duration(random.IntN(40))*day + time.Duration(1+len(w.tags))*time.Minute
		w.tags[tag], w.ages[tag] = d, age
		p.pushed(repository, tag, d, age)
	}
	pick := func() digest.Digest { return all[random.IntN(len(all))] }
	for i := range 4 + random.IntN(20) {
		document := registrytest.Fields{"annotations": registrytest.Fields{"n": fmt.Sprint(repository, i)}}
		var parts []digest.Digest
		if i > 2 && random.IntN(3) == 0 {
			parts = []digest.Digest{pick(), pick()}
			document["manifests"] = registrytest.Named(parts...)
		}
		var subject digest.Digest
		if i > 2 && random.IntN(4) == 0 {
			subject = pick()
			document["subject"] = registrytest.Fields{"digest": subject}
		}
		d := p.Manifest(repository, document)
		w.present.Add(d)
		w.parts[d] = append(w.parts[d], parts...)
		if subject != "" {
			w.parts[subject] = append(w.parts[subject], d)
		}
		all = append(all, d)
		switch {
		case i > 2 && random.IntN(3) == 0:
			of := pick()
			if random.IntN(5) == 0 {
				of = digest.FromString(fmt.Sprint("not there ", i))
			}
			push(subjectName(of)+[]string{"", ".sig"}[random.IntN(2)], d)
		case random.IntN(4) > 0:
			push([]string{"v", "b", "latest"}[random.IntN(3)]+fmt.Sprint(random.IntN(9)), d)
		}
	}
	return w
}

func someRules(random *rand.Rand) (rules []rule) {
	never := [][]string{nil, {"v*"}, {"latest*", "*.sig"}, {"*5"}}
	for range 1 + random.IntN(2) {
		rules = append(rules, lets([]string{"**", "team/*", "team/a"}[random.IntN(3)], random.IntN(5),
			time.Duration(random.IntN(30))*day, never[random.IntN(len(never))]...))
	}
	return rules
}

// Whatever is pushed, and whatever the rules: what is left is what the model says, also when a run
// fails at any moment and is done again.
func TestRetentionAgreesWithItsModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	gone, kept := 0, 0
	for round := range 200 {
		on := func(test func(*place)) { test(inMemory(t)) }
		if round < 4 { // which are slow
			on = func(test func(*place)) { onDated(t, test) }
		}
		on(func(p *place) {
			rules, keep := someRules(random), storage.Digests{}
			worlds := map[string]world{}
			for _, repository := range []string{"team/a", "team/b", "c"} {
				w := build(p, random, repository)
				worlds[repository] = w
				for _, d := range w.tags {
					if random.IntN(20) == 0 {
						keep.Add(d)
					}
				}
			}
			opts := []func(*options){retain(rules...), func(o *options) { o.keep = keep }}
			planned := p.mustCollect(append(opts, dry)...)
			if random.IntN(2) == 0 {
				moves := random.IntN(12)
				var mutex sync.Mutex
				p.hook = func(string) error {
					mutex.Lock()
					defer mutex.Unlock()
					if moves--; moves < 0 {
						return errors.New("the storage is away")
					}
					return nil
				}
				_, _ = p.collect(opts...)
				p.hook = nil
			}
			p.mustCollect(opts...)
			total, left := 0, 0
			for repository, w := range worlds {
				matching := rulesFor(repository, rules)
				p.hasTags(fmt.Sprintf("seed %d, %v", seed, matching), repository, w.left(matching, keep)...)
				if len(matching) > 0 {
					total += len(w.tags)
					left += len(w.left(matching, keep))
				}
			}
			if planned.tags != left || planned.tagsGone != total-left {
				t.Errorf("the dry run said %d and %d, wanted %d and %d",
					planned.tags, planned.tagsGone, left, total-left)
			}
			gone, kept = gone+total-left, kept+left
		})
	}
	t.Logf("%d tags went, %d stayed", gone, kept)
	if gone == 0 || kept == 0 {
		t.Error("nothing was put to the test")
	}
}
