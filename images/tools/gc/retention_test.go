package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

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
		for name, push := range map[string]func(tag string){
			"whole-push": func(tag string) { p.Tag("app", tag, fresh) },
			"half-a-push": func(tag string) {
				p.Link(storage.Entry{Kind: storage.History, Repository: "app", Tag: tag, Digest: fresh})
			},
			"the-same-again": func(tag string) { p.Tag("app", tag, old) },
		} {
			p.later += time.Second // each run has its own name
			p.pushed("app", name, old, 50*day)
			p.hook = func(string) error {
				p.hook = nil
				push(name)
				return nil
			}
			p.mustCollect(retain(lets("**", 0, day)))
			if name == "half-a-push" { // its other half
				p.Put(storage.Entry{Kind: storage.Current, Repository: "app", Tag: name}.File(), fresh.String())
			}
			wanted := fresh
			if name == "the-same-again" {
				wanted = old
			}
			if got := p.tags("app")[name]; got != wanted {
				t.Errorf("%s: the tag names %q, wanted %s", name, got, wanted)
			}
		}
	})
}

// A push writes a tag's history first. Where times are in seconds, its link may get the same time: it isn't
// seen to change.
func TestATagThatIsBeingPushedStays(t *testing.T) {
	onDated(t, func(p *place) {
		old, fresh := p.Image("app", p.Layer("app", "old")), p.Image("app", p.Layer("app", "fresh"))
		p.pushed("app", "t", old, 50*day)
		p.pushed("app", "idle", old, 50*day)
		p.Link(storage.Entry{Kind: storage.History, Repository: "app", Tag: "t", Digest: fresh})
		p.mustCollect(retain(lets("**", 0, day)))
		p.hasTags("half a push", "app", "t")
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
