package main

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

func TestUserPatterns(t *testing.T) {
	rules := newAccess([]Rule{{
		Users: []string{"ci", "robot-*"}, Repositories: []string{"**"}, Actions: []string{"pull"},
	}})
	for user, allowed := range map[string]bool{
		"ci": true, "ci2": false, "robot-": true, "robot-a/b": true, "a-robot-b": false, "": false,
	} {
		if got := len(rules.granted(user, parseScopes([]string{"repository:a:pull"}))) == 1; got != allowed {
			t.Errorf("%q: %v", user, got)
		}
	}
}

func TestScopesAreReadAtTheirFirstAndLastColon(t *testing.T) {
	for text, want := range map[string][]scope{
		"repository:a/b:pull,push":               {{"repository", "a/b", []string{"pull", "push"}}},
		"repository:host:5000/a:pull":            {{"repository", "host:5000/a", []string{"pull"}}},
		"registry:catalog:*":                     {{"registry", "catalog", []string{"*"}}},
		"repository:a:pull  repository:b:delete": {{"repository", "a", []string{"pull"}}, {"repository", "b", []string{"delete"}}},
		"repository:a:":                          {{"repository", "a", []string{""}}},
		"repository:a":                           nil,
		"repository":                             nil,
		":a:pull":                                nil,
		"":                                       nil,
	} {
		if got := parseScopes([]string{text}); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

var example = newAccess([]Rule{
	{Users: []string{"admin"}, Repositories: []string{"**"}, Actions: []string{"pull", "push", "delete", "catalog"}},
	{Users: []string{"ci", "robot-*"}, Repositories: []string{"team/**"}, Actions: []string{"pull", "push"}},
	{Users: []string{"deploy"}, Repositories: []string{"**"}, Actions: []string{"pull"}},
	{Users: []string{"deploy"}, Repositories: []string{"tmp/*"}, Actions: []string{"delete"}},
	{Anonymous: true, Repositories: []string{"public/**"}, Actions: []string{"pull"}},
})

func TestWhatIsAskedForIsGrantedAsFarAsRulesAllow(t *testing.T) {
	for _, each := range []struct{ user, scopes, granted string }{
		{"admin", "repository:a:pull,push", "repository:a:pull,push"},
		{"admin", "repository:a:*", "repository:a:pull,push,delete"},
		{"admin", "repository:a:delete,pull,pull,unknown", "repository:a:pull,delete"},
		{"admin", "registry:catalog:*", "registry:catalog:*"},
		{"admin", "registry:catalog:pull registry:other:* other:a:pull", ""},
		{"ci", "repository:team/a:pull,push,delete", "repository:team/a:pull,push"},
		{"ci", "repository:team/a:*", "repository:team/a:pull,push"},
		{"robot-1", "repository:team/a/b:pull", "repository:team/a/b:pull"},
		{"ci", "repository:other/a:pull registry:catalog:*", ""},
		// A mount from another repository.
		{"ci", "repository:team/a:pull,push repository:other/b:pull", "repository:team/a:pull,push"},
		{"ci", "repository:team/a:pull repository:team/a:push", "repository:team/a:pull,push"},
		// Rules add up, the anonymous one for everybody.
		{"deploy", "repository:tmp/a:*", "repository:tmp/a:pull,delete"},
		{"nobody", "repository:public/a:pull,push", "repository:public/a:pull"},
		{"", "repository:public/a:pull repository:a:pull", "repository:public/a:pull"},
		{"", "registry:catalog:*", ""},
		// Names that no repository has.
		{"admin", "repository:a//b:pull repository:../a:pull repository:A_:pull", ""},
		{"admin", "repository:" + strings.Repeat("a", 256) + ":pull", ""},
		{"admin", "repository(plugin):a:pull", ""},
	} {
		got := strings.Join(texts(example.granted(each.user, parseScopes([]string{each.scopes}))), " ")
		if got != each.granted {
			t.Errorf("%s, %s: %s", each.user, each.scopes, got)
		}
	}
}

func TestOnlyAnonymousRulesLetAnonymousRequestsIn(t *testing.T) {
	if !example.anonymous() || newAccess([]Rule{{Users: []string{"*"}}}).anonymous() {
		t.Fail()
	}
}

// model matches as the documents say it, a character at a time.
func model(pattern, name string, slash bool) bool {
	if pattern == "" {
		return name == ""
	}
	if rest, wide := strings.CutPrefix(pattern, "**"); wide {
		return model(rest, name, slash) || name != "" && model(pattern, name[1:], slash)
	}
	if pattern[0] == '*' {
		one := name != "" && (slash || name[0] != '/')
		return model(pattern[1:], name, slash) || one && model(pattern, name[1:], slash)
	}
	return name != "" && pattern[0] == name[0] && model(pattern[1:], name[1:], slash)
}

// dice makes texts at random.
type dice struct{ *rand.Rand }

func (d dice) pick(from []string) string { return from[d.IntN(len(from))] }

func (d dice) text(parts []string, most int) string {
	var text strings.Builder
	for range 1 + d.IntN(most) {
		text.WriteString(d.pick(parts))
	}
	return text.String()
}

func (d dice) some(from []string) (some []string) {
	for range 1 + d.IntN(3) {
		some = append(some, d.pick(from))
	}
	return some
}

func (d dice) rule() Rule {
	return Rule{
		Users:        []string{d.text([]string{"a", "b", "-", "*", "*", "*"}, 3)},
		Anonymous:    d.IntN(8) == 0,
		Repositories: []string{d.text([]string{"a", "b", "/", "*", "**", "/**"}, 4)},
		Actions:      d.some(actions),
	}
}

// name returns that of a repository, two of three times nearly as the pattern.
func (d dice) name(pattern string) string {
	name := d.text([]string{"a", "b", "a/", "b/a"}, 4) + "a"
	if d.IntN(3) > 0 {
		like := strings.NewReplacer("**", d.text([]string{"", "a", "b/a"}, 2), "*", d.pick([]string{"", "a", "b/a"}))
		near := like.Replace(pattern)
		if _, err := reference.WithName(near); err == nil {
			return near
		}
	}
	return name
}

// modelled returns the actions that a model of the rules grants of those that are wanted.
func modelled(rules []Rule, user string, of scope) (granted []string) {
	allowed := func(action string) bool {
		for _, rule := range rules {
			applies := rule.Anonymous || user != "" && model(rule.Users[0], user, true)
			here := of.kind == "registry" || model(rule.Repositories[0], of.name, false)
			if applies && here && slices.Contains(rule.Actions, action) {
				return true
			}
		}
		return false
	}
	if of.kind == "registry" && slices.Contains(of.actions, "*") && allowed(catalog) {
		return []string{"*"}
	}
	for _, action := range repositoryActions {
		isAsked := slices.Contains(of.actions, action) || slices.Contains(of.actions, "*")
		if of.kind == "repository" && isAsked && allowed(action) {
			granted = append(granted, action)
		}
	}
	return granted
}

func TestRulesAgreeWithTheModel(t *testing.T) {
	random := dice{rand.New(rand.NewPCG(13, 1))}
	users := []string{"", "a", "b", "ab", "a-b"}
	asked := append(slices.Clone(actions), "*", "other")
	var granted, refused int
	for number := range 100_000 {
		rules := []Rule{random.rule(), random.rule()}
		user := random.pick(users)
		of := scope{"repository", random.name(rules[0].Repositories[0]), random.some(asked)}
		if random.IntN(5) == 0 {
			of.kind, of.name = "registry", "catalog"
		}
		want := modelled(rules, user, of)
		got := newAccess(rules).granted(user, parseScopes([]string{of.String()}))
		if want == nil {
			refused++
			if got == nil {
				continue
			}
		} else if granted++; len(got) == 1 && got[0].Type == of.kind && got[0].Name == of.name &&
			slices.Equal(got[0].Actions, want) {
			continue
		}
		t.Fatalf("%d: %+v, %q, %s: %v, and the model %v", number, rules, user, of, texts(got), want)
	}
	if granted < 10_000 || refused < 10_000 {
		t.Errorf("%d granted, %d refused: the cases say little", granted, refused)
	}
}

func FuzzScopes(f *testing.F) {
	for _, seed := range []string{
		"repository:a:pull", "repository:h:5000/a:pull,push", "registry:catalog:*", "a:b:c d:e:f",
		":::", "repository:a/b/c:*", "repository:\xff:pull", "repository:a:pull,\x00",
	} {
		f.Add("ci", seed)
	}
	f.Fuzz(func(t *testing.T, user, text string) {
		for _, grant := range example.granted(user, parseScopes([]string{text})) {
			if !strings.Contains(text, grant.Type+":"+grant.Name+":") {
				t.Errorf("%s:%s wasn't asked for", grant.Type, grant.Name)
			}
			for _, action := range grant.Actions {
				all := slices.Contains(repositoryActions, action) || grant.Type == "registry" && user == "admin"
				if !all {
					t.Errorf("%s", action)
				}
			}
			public := strings.HasPrefix(grant.Name, "public/") && slices.Equal(grant.Actions, []string{"pull"})
			if user == "" && !public {
				t.Errorf("an anonymous request gets %s", texts(example.granted(user, parseScopes([]string{text}))))
			}
		}
	})
}
