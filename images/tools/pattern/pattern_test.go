package pattern

import "testing"

func TestPatternsMatchWholeNames(t *testing.T) {
	for _, each := range []struct {
		pattern, name string
		matches       bool
	}{
		{"team/app", "team/app", true},
		{"team/app", "team/app2", false},
		{"team/app", "a/team/app", false},
		{"team/*", "team/app", true},
		{"team/*", "team/app/web", false},
		{"team/*", "team", false},
		{"team/**", "team/app/web", true},
		{"team/**", "teams/app", false},
		{"*", "app", true},
		{"*", "team/app", false},
		{"**", "team/app", true},
		{"*-dev/**", "a-dev/b/c", true},
		{"*/app", "team/app", true},
		{"*/app", "a/b/app", false},
		{"**/app", "a/b/app", true},
		{"a.b", "aXb", false},
		{"a***", "a/b", true},
		{"localhost:5000/*", "localhost:5000/app", true},
	} {
		if got := Names([]string{each.pattern}).MatchString(each.name); got != each.matches {
			t.Errorf("%s and %s: %v", each.pattern, each.name, got)
		}
	}
}

func TestAnyOfThePatternsIsEnough(t *testing.T) {
	names := Names([]string{"latest", "v*"})
	for name, wanted := range map[string]bool{"latest": true, "v1.2": true, "1.2": false, "": false} {
		if names.MatchString(name) != wanted {
			t.Errorf("%q: %v", name, !wanted)
		}
	}
	if Names(nil).MatchString("") || !Users([]string{"a*"}).MatchString("a/b\n") {
		t.Error("no pattern matches nothing, and the name of a user may have any characters")
	}
}
