package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"registry.local/images/tools/pattern"
)

// rule says which tags of some repositories stay; it lets the rest go. Of several rules for a
// repository, one that keeps a tag is enough.
type rule struct {
	patterns     []string
	repositories *regexp.Regexp
	keep         int            // so many stay, those that were pushed last
	olderThan    time.Duration  // what was pushed less than this ago stays
	never        *regexp.Regexp // tags that stay, and don't count for keep
}

// candidate is a tag that a rule may let go.
type candidate struct {
	name            string
	pushed, changed time.Time // as of tag
}

// readRules returns the rules in a file, a list in JSON.
func readRules(file string) ([]rule, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Repositories []string `json:"repositories"`
		Keep         *int     `json:"keep"`
		OlderThan    string   `json:"olderThan"`
		Never        []string `json:"never"`
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields() // a word that isn't understood may be one that protects
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no rule in it", file)
	}
	var rules []rule
	for i, each := range list {
		olderThan, err := time.ParseDuration(each.OlderThan)
		switch {
		case len(each.Repositories) == 0:
			err = errors.New("repositories is missing: write patterns of names, ** for all")
		case each.Keep == nil || *each.Keep < 0:
			err = errors.New("keep is missing or negative: write how many tags stay")
		case err != nil || olderThan < 0:
			err = fmt.Errorf("olderThan is %q: write a time such as 720h", each.OlderThan)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: rule %d: %w", file, i+1, err)
		}
		rules = append(rules, rule{
			each.Repositories, pattern.Names(each.Repositories), *each.Keep, olderThan,
			pattern.Names(each.Never),
		})
	}
	return rules, nil
}

// rulesFor returns those that match a repository.
func rulesFor(repository string, rules []rule) []rule {
	var matching []rule
	for _, r := range rules {
		if r.repositories.MatchString(repository) {
			matching = append(matching, r)
		}
	}
	return matching
}

// expired returns the tags that all of the rules let go.
func expired(rules []rule, tags []candidate, now time.Time) []candidate {
	if len(rules) == 0 {
		return nil
	}
	slices.SortFunc(tags, func(a, b candidate) int {
		if order := b.pushed.Compare(a.pushed); order != 0 {
			return order // the youngest first
		}
		return strings.Compare(a.name, b.name)
	})
	kept := map[string]struct{}{}
	for _, r := range rules {
		r.each(tags, now, func(name string) { kept[name] = struct{}{} })
	}
	return slices.DeleteFunc(slices.Clone(tags), func(c candidate) bool {
		_, ok := kept[c.name]
		return ok
	})
}

// each calls keep for the tags that a rule keeps, of all tags, the youngest first. Of tags that were
// pushed at the same time all stay or none: which of them is the younger one isn't known.
func (r rule) each(tags []candidate, now time.Time, keep func(name string)) {
	count, last := 0, time.Time{}
	for _, c := range tags {
		if r.never.MatchString(c.name) {
			keep(c.name)
			continue
		}
		if count < r.keep || (r.keep > 0 && c.pushed.Equal(last)) {
			count, last = count+1, c.pushed
			keep(c.name)
		} else if r.recent(c.pushed, now) {
			keep(c.name)
		}
	}
}

// recent returns whether what was pushed then is too young to go.
func (r rule) recent(pushed, now time.Time) bool { return pushed.Add(r.olderThan).After(now) }

// protects returns whether one of the rules never lets a tag of this name go.
func protects(rules []rule, name string) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return r.never.MatchString(name) })
}

// anyRecent returns whether what was pushed then is too young to go for one of the rules.
func anyRecent(rules []rule, pushed, now time.Time) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return r.recent(pushed, now) })
}
