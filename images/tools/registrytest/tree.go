// Package registrytest has what the tests of several programs need: the storage of a registry, and a
// registry that clients use without a pause.
package registrytest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// Tree is a registry's storage that a test fills without a registry.
type Tree struct {
	*testing.T
	*storage.Store
}

// Put writes a file below the root.
func (t *Tree) Put(path, content string) {
	t.Helper()
	if err := t.PutContent(context.Background(), storage.Root+"/"+path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// Link writes the link of an entry.
func (t *Tree) Link(e storage.Entry) { t.Put(e.File(), e.Digest.String()) }

// Layer pushes a layer.
func (t *Tree) Layer(repository, content string) digest.Digest {
	d := digest.FromString(content)
	t.Put(storage.Entry{Kind: storage.Blob, Digest: d}.File(), content)
	t.Link(storage.Entry{Kind: storage.Layer, Repository: repository, Digest: d})
	return d
}

// Fields is a JSON object.
type Fields map[string]any

// Named returns descriptors of some content.
func Named(digests ...digest.Digest) []Fields {
	list := []Fields{}
	for _, d := range digests {
		list = append(list, Fields{"digest": d})
	}
	return list
}

// Manifest pushes a manifest.
func (t *Tree) Manifest(repository string, document Fields) digest.Digest {
	document["schemaVersion"] = 2
	content, _ := json.Marshal(document)
	return t.Raw(repository, string(content))
}

// Raw pushes what is to be a manifest.
func (t *Tree) Raw(repository, content string) digest.Digest {
	d := digest.FromString(content)
	t.Put(storage.Entry{Kind: storage.Blob, Digest: d}.File(), content)
	t.Link(storage.Entry{Kind: storage.Revision, Repository: repository, Digest: d})
	return d
}

// Image pushes an image of some layers.
func (t *Tree) Image(repository string, layers ...digest.Digest) digest.Digest {
	return t.Manifest(repository, Fields{"layers": Named(layers...)})
}

// Tag tags a manifest.
func (t *Tree) Tag(repository, name string, d digest.Digest) {
	t.Link(storage.Entry{Kind: storage.History, Repository: repository, Tag: name, Digest: d})
	t.Put(storage.Entry{Kind: storage.Current, Repository: repository, Tag: name}.File(), d.String())
}
