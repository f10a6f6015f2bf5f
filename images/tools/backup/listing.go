package main

import (
	"hash/maphash"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// tag is a tag of a registry.
type tag struct{ repository, name string }

// listing is what a listing of a registry's tree shows of its tags.
type listing struct {
	tags    []tag
	written map[tag]storage.Written
	seed    maphash.Seed
	history map[uint64]struct{} // hashes of the paths of its links
}

func newListing() *listing {
	return &listing{written: map[tag]storage.Written{}, seed: maphash.MakeSeed(), history: map[uint64]struct{}{}}
}

// add adds a file of a tag.
func (l *listing) add(e storage.Stored) {
	t := tag{e.Repository, e.Tag}
	written := l.written[t]
	written.Add(e)
	l.written[t] = written
	if e.Kind == storage.Current {
		l.tags = append(l.tags, t)
	} else {
		l.history[maphash.String(l.seed, e.File())] = struct{}{}
	}
}

// has returns whether a tag had named a manifest by then.
func (l *listing) has(t tag, d digest.Digest) bool {
	link := storage.Entry{Kind: storage.History, Repository: t.repository, Tag: t.name, Digest: d}
	_, ok := l.history[maphash.String(l.seed, link.File())]
	return ok
}

// pushed returns when a tag was pushed.
func (l *listing) pushed(t tag, pushes *storage.Pushes) time.Time {
	return pushes.When(t.repository, t.name, l.written[t]).UTC()
}
