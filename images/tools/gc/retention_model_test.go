package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// world is what the model knows of a repository.
type world struct {
	tags    map[string]digest.Digest
	ages    map[string]time.Duration
	parts   map[digest.Digest][]digest.Digest // what a manifest needs, and what belongs to it
	present storage.Digests
}

// left returns the tags that have to be left, said as the documentation says it.
func (w world) left(rules []rule, keep storage.Digests) []string {
	left := w.kept(rules, keep)
	stay, gone := maps.Clone(left), map[string]bool{}
	w.belongs(keep, func(tag string) bool { return tag == "" || stay[tag] }, func(tag string) { left[tag] = true })
	for tag := range w.tags {
		hex, ok := strings.CutPrefix(tag, "sha256-")
		subject := digest.Digest("sha256:" + strings.TrimSuffix(hex, ".sig"))
		young := slices.ContainsFunc(rules, func(r rule) bool { return w.ages[tag] < r.olderThan })
		gone[tag] = !left[tag] && (!ok || (!w.present.Has(subject) && !young))
	}
	first := maps.Clone(gone)
	w.belongs(keep, func(tag string) bool { return first[tag] }, func(tag string) { gone[tag] = !left[tag] })
	var names []string
	for tag := range w.tags {
		if !gone[tag] {
			names = append(names, tag)
		}
	}
	return names
}

// kept returns the tags that the rules or the digests keep by themselves.
func (w world) kept(rules []rule, keep storage.Digests) map[string]bool {
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
	return left
}

// belongs has the tags follow that belong to what some tags reach, or what is kept where "" starts.
func (w world) belongs(keep storage.Digests, start func(tag string) bool, follow func(tag string)) {
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
