package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
)

// mark says whose the files of a place are. Only what is known to be a registry's own is ever removed: a
// place that was empty when a move began has its mark from then on.
type mark struct {
	Registry string `json:"registry"` // random, the same in all places that a registry was in
	Place    string `json:"place"`    // that it was written in: a copy that was made by hand isn't there
}

// readMark returns the registry that a place is marked with; "" when it isn't.
func readMark(ctx context.Context, in place, name string) (registry string, err error) {
	content, err := contentOf(ctx, in, markFile)
	if errors.Is(err, errGone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var m mark
	if json.Unmarshal(content, &m) != nil || m.Place != name {
		return "", nil
	}
	return m.Registry, nil
}

func writeMark(ctx context.Context, in place, name, registry string) error {
	content, err := json.Marshal(mark{registry, name})
	if err != nil {
		return err
	}
	return put(ctx, in, markFile, content)
}

// marked returns the registry that a place is marked with, from now on.
func marked(ctx context.Context, in place, name string) (string, error) {
	registry, err := readMark(ctx, in, name)
	if err != nil || registry != "" {
		return registry, err
	}
	registry = rand.Text()
	return registry, writeMark(ctx, in, name, registry)
}
