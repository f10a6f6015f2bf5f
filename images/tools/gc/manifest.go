package main

import (
	"encoding/json"
	"regexp"

	"github.com/opencontainers/go-digest"
)

// largestManifest is the most that is read of one, in bytes: the registry takes 4 MiB.
const largestManifest = 8 << 20

// references is what a manifest needs to be complete, and what it belongs to (or "").
type references struct {
	needs   []digest.Digest
	subject digest.Digest
}

type descriptor struct {
	Digest digest.Digest `json:"digest"`
}

// document has the fields that name content in manifests, indexes, and what once were such.
type document struct {
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
	Blobs     []descriptor `json:"blobs"`
	Subject   *descriptor  `json:"subject"`
	Schema    int          `json:"schemaVersion"`
	FSLayers  []struct {
		Digest digest.Digest `json:"blobSum"`
	} `json:"fsLayers"`
}

var digestLike = regexp.MustCompile(`[a-z0-9]+:[a-f0-9]{32,128}`)

// read returns the references of a manifest. Of one that can't be understood, whatever looks like a
// digest is taken as needed: too much is kept then, never too little.
func read(content []byte) (references, bool) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil || (d.Schema != 1 && d.Schema != 2) {
		var r references
		for _, like := range digestLike.FindAll(content, -1) {
			r.add(digest.Digest(like))
		}
		return r, false
	}
	var r references
	if d.Config != nil {
		r.add(d.Config.Digest)
	}
	for _, each := range [][]descriptor{d.Layers, d.Manifests, d.Blobs} {
		for _, descriptor := range each {
			r.add(descriptor.Digest)
		}
	}
	for _, layer := range d.FSLayers {
		r.add(layer.Digest)
	}
	if d.Subject != nil && d.Subject.Digest.Validate() == nil {
		r.subject = d.Subject.Digest
	}
	return r, true
}

func (r *references) add(needed digest.Digest) {
	if needed.Validate() == nil {
		r.needs = append(r.needs, needed)
	}
}
