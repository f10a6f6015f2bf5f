package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// format is the version of the files that describe generations.
const format = 1

// generation is what a registry had at one time: everything but the content, which the digests name.
type generation struct {
	Format       int                        `json:"format"`
	Name         string                     `json:"name,omitempty"` // of the registry
	Began        time.Time                  `json:"began"`          // of the run that made it
	Until        time.Time                  `json:"until"`          // of the last run that found nothing new
	Repositories map[string]repository      `json:"repositories"`
	Manifests    map[digest.Digest]manifest `json:"manifests"`
	Blobs        map[digest.Digest]int64    `json:"blobs"`            // sizes of all content, in bytes
	Broken       map[digest.Digest]string   `json:"broken,omitempty"` // what the registry lacked, and why
	Files        map[string]digest.Digest   `json:"files,omitempty"`  // what else was given, by name
}

// repository is the part of a generation that one repository had.
type repository struct {
	Tags      map[string]digest.Digest `json:"tags"`
	Pushed    map[string]time.Time     `json:"pushed,omitempty"` // when, by tag; earlier programs had none
	Manifests []digest.Digest          `json:"manifests"`        // tagged or not, sorted
}

// manifest is what a manifest names.
type manifest struct {
	Blobs     []digest.Digest `json:"blobs,omitempty"`     // needed
	Manifests []digest.Digest `json:"manifests,omitempty"` // of an index: needed if the repository has them
	Optional  []digest.Digest `json:"optional,omitempty"`  // taken along if the registry has them
}

// sealed is a generation as it is kept: its digest shows whether it is whole.
type sealed struct {
	Digest     digest.Digest   `json:"digest"`
	Generation json.RawMessage `json:"generation"`
}

func (g *generation) encode() ([]byte, error) {
	content, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{digest.FromBytes(content), content})
}

func decode(content []byte) (*generation, error) {
	var s sealed
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, err
	}
	if digest.FromBytes(s.Generation) != s.Digest {
		return nil, fmt.Errorf("its content isn't that of its digest, %s", s.Digest)
	}
	g := &generation{}
	if err := json.Unmarshal(s.Generation, g); err != nil {
		return nil, err
	}
	if g.Format != format {
		return nil, fmt.Errorf("its format is %d, this program knows %d: use a later one", g.Format, format)
	}
	return g, nil
}

// equal returns whether two generations hold the same, whenever they were made.
func (g *generation) equal(other *generation) bool {
	return maps.EqualFunc(g.Repositories, other.Repositories, func(a, b repository) bool {
		return maps.Equal(a.Tags, b.Tags) && slices.Equal(a.Manifests, b.Manifests)
	}) &&
		maps.EqualFunc(g.Manifests, other.Manifests, func(a, b manifest) bool { return reflect.DeepEqual(a, b) }) &&
		maps.Equal(g.Blobs, other.Blobs) && maps.Equal(g.Broken, other.Broken) &&
		maps.Equal(g.Files, other.Files)
}

// counts returns the numbers of tags and of bytes.
func (g *generation) counts() (tags int, bytes int64) {
	for _, r := range g.Repositories {
		tags += len(r.Tags)
	}
	for _, size := range g.Blobs {
		bytes += size
	}
	return tags, bytes
}

// damage finds out which manifests of one repository need content that is bad.
type damage struct {
	generation *generation
	repository string
	bad        map[digest.Digest]string // why, by digest
	here       map[digest.Digest]bool   // manifests that the repository has
	known      map[digest.Digest][]digest.Digest
}

func newDamage(g *generation, name string, bad map[digest.Digest]string) *damage {
	d := &damage{g, name, bad, map[digest.Digest]bool{}, map[digest.Digest][]digest.Digest{}}
	for _, one := range g.Repositories[name].Manifests {
		d.here[one] = true
	}
	return d
}

// of returns what is bad of a manifest and of all that it needs.
func (d *damage) of(one digest.Digest) []digest.Digest {
	if causes, ok := d.known[one]; ok {
		return causes
	}
	d.known[one] = nil // an index can't contain itself; a forged one that says so ends here
	causes := map[digest.Digest]bool{}
	parts := append([]digest.Digest{one}, d.generation.Manifests[one].Blobs...)
	for _, part := range parts {
		if _, ok := d.bad[part]; ok {
			causes[part] = true
		}
	}
	for _, child := range d.generation.Manifests[one].Manifests {
		if d.here[child] {
			for _, cause := range d.of(child) {
				causes[cause] = true
			}
		}
	}
	d.known[one] = slices.Sorted(maps.Keys(causes))
	return d.known[one]
}

// breaks returns, by what is bad, the names that can't be pulled for it: NAME:TAG, or NAME@DIGEST of a
// manifest without a tag.
func (g *generation) breaks(bad map[digest.Digest]string) map[digest.Digest][]string {
	broken := map[digest.Digest][]string{}
	for name, r := range g.Repositories {
		damage, tagged := newDamage(g, name, bad), map[digest.Digest]bool{}
		for tag, d := range r.Tags {
			tagged[d] = true
			for _, cause := range damage.of(d) {
				broken[cause] = append(broken[cause], name+":"+tag)
			}
		}
		for _, d := range r.Manifests {
			if tagged[d] {
				continue
			}
			for _, cause := range damage.of(d) {
				broken[cause] = append(broken[cause], name+"@"+d.String())
			}
		}
	}
	for _, names := range broken {
		slices.Sort(names)
	}
	return broken
}
