package storage

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/distribution/distribution/v3"
	_ "github.com/distribution/distribution/v3/manifest/manifestlist"
	_ "github.com/distribution/distribution/v3/manifest/ocischema"
	_ "github.com/distribution/distribution/v3/manifest/schema2"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func FuzzParse(f *testing.F) {
	d := digest.FromString("a")
	for kind := Blob; kind <= History; kind++ {
		e := Entry{Kind: kind, Digest: d}
		if kind != Blob {
			e.Repository = "team/app"
		}
		if kind == Current || kind == History {
			e.Tag = "v1"
		}
		if kind == Current {
			e.Digest = ""
		}
		if parsed, ok := Parse(e.File()); !ok || parsed != e {
			f.Errorf("%+v is %+v", e, parsed)
		}
		f.Add(e.File())
	}
	f.Add("repositories/a/_manifests/tags/x/index/sha256/y/link")
	f.Add("repositories/a/_manifests/tags/_layers/current/link")
	f.Fuzz(func(t *testing.T, file string) {
		if e, ok := Parse(file); ok && e.File() != file {
			t.Errorf("%q is %+v at %q", file, e, e.File())
		}
	})
}

// A tag may be called as folders of the registry are, and is there all the same.
func TestATagMayHaveAnyName(t *testing.T) {
	files := filesystem.New(filesystem.DriverParameters{RootDirectory: t.TempDir(), MaxThreads: 100})
	ctx, s, seen := context.Background(), &Store{files, time.Now}, map[Entry]bool{}
	for _, tag := range []string{"_layers", "_manifests", "_uploads", "current", "index", "v1..2"} {
		for _, e := range []Entry{
			{Kind: Current, Repository: "team/app", Tag: tag},
			{Kind: History, Repository: "team/app", Tag: tag, Digest: digest.FromString("a")},
		} {
			if parsed, ok := Parse(e.File()); !ok || parsed != e {
				t.Errorf("%s is %+v", e.File(), parsed)
			}
			if err := s.PutContent(ctx, Root+"/"+e.File(), []byte("sha256:…")); err != nil {
				t.Fatal(err)
			}
			seen[e] = false
		}
	}
	upload := Root + "/repositories/team/app/_uploads/1/data"
	if err := s.PutContent(ctx, upload, []byte("…")); err != nil {
		t.Fatal(err)
	}
	err := s.Files(ctx, Root, func(info driver.FileInfo) {
		if info.Path() == upload {
			t.Error("an upload under way is looked at")
		}
	})
	if err == nil {
		err = s.Entries(ctx, Root, "repositories", func(e Stored) { seen[e.Entry] = true })
	}
	if err != nil {
		t.Fatal(err)
	}
	for e, ok := range seen {
		if !ok {
			t.Errorf("%s isn't seen", e.File())
		}
	}
}

// Whatever the registry takes to be referred to is kept.
func FuzzRead(f *testing.F) {
	d := `{"mediaType":"a/b","size":1,"digest":"` + digest.FromString("a").String() + `"}`
	types := []string{
		v1.MediaTypeImageManifest, v1.MediaTypeImageIndex,
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
	}
	for i, kind := range types {
		f.Add(i, []byte(`{"schemaVersion":2,"mediaType":"`+kind+`","config":`+d+
			`,"layers":[`+d+`],"manifests":[`+d+`],"subject":`+d+`}`))
	}
	f.Fuzz(func(t *testing.T, kind int, content []byte) {
		found, _ := Read(content)
		manifest, _, err := distribution.UnmarshalManifest(types[(kind%4+4)%4], content)
		if err != nil {
			return
		}
		for _, reference := range manifest.References() {
			if reference.Digest.Validate() == nil && !slices.Contains(found.All(), reference.Digest) {
				t.Errorf("%s: %v isn't in %v", content, reference.Digest, found.All())
			}
		}
	})
}

func TestAFolderThatVanishesWhileItIsReadIsMissing(t *testing.T) {
	folder := t.TempDir()
	opened, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	_, err = opened.Readdirnames(0)
	if err == nil || !Missing(driver.Error{DriverName: "filesystem", Detail: err}) {
		t.Errorf("%v isn't taken for missing", err)
	}
	if Missing(driver.Error{DriverName: "filesystem", Detail: os.ErrPermission}) || Missing(nil) {
		t.Error("what can't be read is taken for missing")
	}
}
