package storage

import (
	"encoding/json"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"
)

// LargestManifest is the most that is read of one, in bytes: the registry takes 4 MiB.
const LargestManifest = 8 << 20

// References is what a manifest names.
type References struct {
	Blobs     []digest.Digest // configuration and layers
	Manifests []digest.Digest // what an index is made of
	Elsewhere []digest.Digest // layers for which it gives an address, and which the registry may lack
	Subject   digest.Digest   // what it belongs to, or ""
}

// All returns what the manifest is made of: everything but the subject.
func (r References) All() []digest.Digest { return slices.Concat(r.Blobs, r.Manifests, r.Elsewhere) }

type descriptor struct {
	Digest digest.Digest `json:"digest"`
	URLs   []string      `json:"urls"`
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

// Read returns what a manifest names, and whether it is understood. Of one that isn't, whatever looks
// like a digest counts as a blob: too much is kept then, never too little.
func Read(content []byte) (r References, understood bool) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil || (d.Schema != 1 && d.Schema != 2) {
		for _, like := range digestLike.FindAll(content, -1) {
			add(&r.Blobs, digest.Digest(like))
		}
		return r, false
	}
	if d.Config != nil {
		add(&r.Blobs, d.Config.Digest)
	}
	for _, layer := range d.FSLayers {
		add(&r.Blobs, layer.Digest)
	}
	for _, one := range slices.Concat(d.Layers, d.Blobs) {
		if len(one.URLs) > 0 {
			add(&r.Elsewhere, one.Digest)
		} else {
			add(&r.Blobs, one.Digest)
		}
	}
	for _, one := range d.Manifests {
		add(&r.Manifests, one.Digest)
	}
	if d.Subject != nil && d.Subject.Digest.Validate() == nil {
		r.Subject = d.Subject.Digest
	}
	return r, true
}

func add(to *[]digest.Digest, one digest.Digest) {
	if one.Validate() == nil {
		*to = append(*to, one)
	}
}
