// Package pattern has the language in which rules name users, repositories and tags.
package pattern

import (
	"regexp"
	"strings"
)

// Users matches the whole of a name with one of the patterns: "*" stands for any characters.
func Users(patterns []string) *regexp.Regexp { return anyOf(patterns, ".*", ".*") }

// Names matches the whole of a name of a repository, or of a tag, with one of the patterns: "*" stands
// for characters without a slash, "**" for any.
func Names(patterns []string) *regexp.Regexp { return anyOf(patterns, "[^/]*", ".*") }

// anyOf matches the whole of a text with one of the patterns: `one` stands for "*", `two` for "**",
// every other character for itself.
func anyOf(patterns []string, one, two string) *regexp.Regexp {
	var alternatives []string
	for _, pattern := range patterns {
		text := regexp.QuoteMeta(pattern)
		text = strings.ReplaceAll(text, `\*\*`, "\x00")
		text = strings.ReplaceAll(text, `\*`, one)
		alternatives = append(alternatives, strings.ReplaceAll(text, "\x00", two))
	}
	if alternatives == nil {
		return regexp.MustCompile(`[^\s\S]`) // Matches nothing.
	}
	return regexp.MustCompile(`(?s)\A(?:` + strings.Join(alternatives, "|") + `)\z`)
}
