package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/distribution/reference"

	"registry.local/images/tools/pattern"
)

// Actions of a repository, in the order in which a token lists them.
var repositoryActions = []string{"pull", "push", "delete"}

// catalog is the action that lists all repositories.
const catalog = "catalog"

// Rule allows actions to users, to anonymous requests, or to both. Rules add up.
type Rule struct {
	Users []string `json:"users"`
	// Anonymous rules hold for everybody: a login never takes rights away.
	Anonymous    bool     `json:"anonymous"`
	Repositories []string `json:"repositories"`
	Actions      []string `json:"actions"`
}

// scope is a resource, and the actions on it that a client asks for.
type scope struct {
	kind, name string
	actions    []string
}

func (s scope) String() string {
	return s.kind + ":" + s.name + ":" + strings.Join(s.actions, ",")
}

// parseScopes reads "TYPE:NAME:ACTION[,ACTION]", separated by spaces. The name may have colons (a
// port). What is no scope is left out, and so nothing is granted for it.
func parseScopes(texts []string) []scope {
	var scopes []scope
	for _, text := range texts {
		for _, field := range strings.Fields(text) {
			kind, rest, _ := strings.Cut(field, ":")
			last := strings.LastIndexByte(rest, ':')
			if kind == "" || last < 1 {
				continue
			}
			scopes = append(scopes, scope{kind, rest[:last], strings.Split(rest[last+1:], ",")})
		}
	}
	return scopes
}

// access grants what rules allow.
type access struct{ rules []compiledRule }

type compiledRule struct {
	users, repositories *regexp.Regexp
	anonymous           bool
	actions             []string
}

func newAccess(rules []Rule) access {
	var compiled []compiledRule
	for _, rule := range rules {
		compiled = append(compiled, compiledRule{
			users:        pattern.Users(rule.Users),
			repositories: pattern.Names(rule.Repositories),
			anonymous:    rule.Anonymous,
			actions:      rule.Actions,
		})
	}
	return access{compiled}
}

// anonymous says whether a request without a login may do anything.
func (a access) anonymous() bool {
	return slices.ContainsFunc(a.rules, func(rule compiledRule) bool { return rule.anonymous })
}

// granted returns what of the scopes `user` may do, each resource once; "" is an anonymous request.
func (a access) granted(user string, scopes []scope) []*token.ResourceActions {
	var granted []*token.ResourceActions
	for _, asked := range scopes {
		actions := a.actions(user, asked)
		if len(actions) == 0 {
			continue
		}
		same := func(other *token.ResourceActions) bool {
			return other.Type == asked.kind && other.Name == asked.name
		}
		if at := slices.IndexFunc(granted, same); at >= 0 {
			both := append(granted[at].Actions, actions...)
			granted[at].Actions = inOrder(both)
			continue
		}
		granted = append(granted,
			&token.ResourceActions{Type: asked.kind, Name: asked.name, Actions: actions})
	}
	return granted
}

// actions returns what of one scope `user` may do.
func (a access) actions(user string, asked scope) []string {
	switch {
	case asked.kind == "registry" && asked.name == catalog:
		// The only thing that a registry knows to do with its catalog is "*".
		if slices.Contains(asked.actions, "*") && a.allows(user, catalog, nil) {
			return []string{"*"}
		}
	case asked.kind == "repository":
		if _, err := reference.WithName(asked.name); err != nil {
			return nil
		}
		var actions []string
		for _, action := range repositoryActions {
			wanted := slices.Contains(asked.actions, action) || slices.Contains(asked.actions, "*")
			if wanted && a.allows(user, action, &asked.name) {
				actions = append(actions, action)
			}
		}
		return actions
	}
	return nil
}

func (a access) allows(user, action string, repository *string) bool {
	return slices.ContainsFunc(a.rules, func(rule compiledRule) bool {
		return slices.Contains(rule.actions, action) &&
			(rule.anonymous || user != "" && rule.users.MatchString(user)) &&
			(repository == nil || rule.repositories.MatchString(*repository))
	})
}

// inOrder returns each action once, as repositoryActions lists them.
func inOrder(actions []string) []string {
	if slices.Contains(actions, "*") {
		return []string{"*"}
	}
	var ordered []string
	for _, action := range repositoryActions {
		if slices.Contains(actions, action) {
			ordered = append(ordered, action)
		}
	}
	return ordered
}

// texts returns granted resources as scopes, for the log.
func texts(granted []*token.ResourceActions) []string {
	lines := []string{}
	for _, each := range granted {
		lines = append(lines, scope{each.Type, each.Name, each.Actions}.String())
	}
	return lines
}

// scopeTexts returns the first of some scopes, of so many bytes in all, and how many more there are.
func scopeTexts(scopes []scope, bytes int) []string {
	lines := []string{}
	for at, each := range scopes {
		if bytes -= len(each.String()); bytes < 0 {
			return append(lines, fmt.Sprintf("(%d more)", len(scopes)-at))
		}
		lines = append(lines, each.String())
	}
	return lines
}

func sizeOf(scopes []scope) (bytes int) {
	for _, each := range scopes {
		bytes += len(each.String())
	}
	return bytes
}
