package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3"
	_ "github.com/distribution/distribution/v3/manifest/manifestlist"
	_ "github.com/distribution/distribution/v3/manifest/ocischema"
	_ "github.com/distribution/distribution/v3/manifest/schema2"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func FuzzParse(f *testing.F) {
	d := digest.FromString("a")
	for kind := blob; kind <= history; kind++ {
		e := entry{kind: kind, digest: d}
		if kind != blob {
			e.repository = "team/app"
		}
		if kind == current || kind == history {
			e.tag = "v1"
		}
		if kind == current {
			e.digest = ""
		}
		if parsed, ok := parse(e.file()); !ok || parsed != e {
			f.Errorf("%+v is %+v", e, parsed)
		}
		f.Add(e.file())
	}
	f.Add("repositories/a/_manifests/tags/x/index/sha256/y/link")
	f.Fuzz(func(t *testing.T, file string) {
		if e, ok := parse(file); ok && e.file() != file {
			t.Errorf("%q is %+v at %q", file, e, e.file())
		}
	})
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
		found, _ := read(content)
		manifest, _, err := distribution.UnmarshalManifest(types[(kind%4+4)%4], content)
		if err != nil {
			return
		}
		for _, reference := range manifest.References() {
			if reference.Digest.Validate() == nil && !slices.Contains(found.needs, reference.Digest) {
				t.Errorf("%s: %v isn't in %v", content, reference.Digest, found.needs)
			}
		}
	})
}

func TestSchedules(t *testing.T) {
	at := func(s string) time.Time {
		moment, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for line, want := range map[string]string{
		"0 4 * * *":       "2026-11-27 04:00",
		"*/15 8-18 * * *": "2026-11-26 10:45",
		"30 10,12 * * *":  "2026-11-26 12:30",
		"0 0 1 * *":       "2026-12-01 00:00",
		"0 0 29 2 *":      "2028-02-29 00:00",
		"0 3 * * 0":       "2026-11-29 03:00",
		"0 3 * * 7":       "2026-11-29 03:00",
		"0 3 13 * 5":      "2026-11-27 03:00", // either day
		"5/20 * * * *":    "2026-11-26 10:45",
		"31 10 26 11 4":   "2026-11-26 10:31",
	} {
		s, err := parseSchedule(line)
		if err != nil {
			t.Error(err)
		} else if next := s.next(at("2026-11-26 10:30")); !next.Equal(at(want)) {
			t.Errorf("%s: %s, not %s", line, next, want)
		}
	}
	for _, line := range []string{
		"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "0 0 31 2 *", "a * * * *",
		"*/0 * * * *", "5-1 * * * *", "1-x * * * *", "* * * * * *",
	} {
		if _, err := parseSchedule(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("*/15 8-18 1,2 * 1-5")
	f.Fuzz(func(t *testing.T, line string) {
		now := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
		if s, err := parseSchedule(line); err == nil && !s.next(now).After(now) {
			t.Errorf("%q: %s", line, s.next(now))
		}
	})
}

func write(t *testing.T, content string) string {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestARegistryThatWouldLosePushesIsRefused(t *testing.T) {
	for config, words := range map[string]string{
		"version: 0.1\nstorage: {inmemory: {}, cache: {blobdescriptor: inmemory}}": "use redis",
		"version: 0.1\nstorage: {inmemory: {}, cache: {layerinfo: inmemory}}":      "use redis",
		"version: 0.1\nstorage: {inmemory: {}, cache: {blobdescriptor: redis}}":    "redis.addrs",
		"version: 0.1\nstorage: {inmemory: {}}\nproxy: {remoteurl: 'http://a'}":    "mirror",
		"version: 0.1\nstorage: {nonsense: {}}":                                    "storage",
		"nonsense":                                                                 "unmarshal",
	} {
		var out, err bytes.Buffer
		code := command(context.Background(), []string{"run", "--config", write(t, config)}, &out, &err)
		if code != 1 || !strings.Contains(out.String(), words) {
			t.Errorf("%s: %d, %s%s", config, code, out.String(), err.String())
		}
	}
}

func TestWhatACommandDoesIsInItsLog(t *testing.T) {
	settled = time.Millisecond
	p := onFiles(t)
	p.layer("app", "loose")
	config := write(t, "version: 0.1\nstorage: {filesystem: {rootdirectory: "+p.folder+"}}")
	run := []string{"run", "--grace", "0s", "--second-look", "0s"}
	for _, step := range []struct {
		words []string
		log   string
	}{
		{append(run, "--dry-run"), `"blobs_aside":1,"links_aside":1,"bytes_aside":5`},
		{[]string{"list"}, ""},
		{run, `"msg":"putting aside","manifests":0,"blobs":1,"links":1,"bytes":5`},
		{append(run, "--format", "text"), "summary.blobs_aside=0"},
		{[]string{"list"}, `"blobs":1,"bytes":5,"links":1`},
		{[]string{"undo", "last"}, `"brought_back":2`},
		{[]string{"list"}, `"msg":"the last run","last_run":{"ended":"2`},
	} {
		var out, err bytes.Buffer
		code := command(context.Background(), append(step.words, "--config", config), &out, &err)
		if code != 0 || !strings.Contains(out.String(), step.log) {
			t.Errorf("%v: %d, %s%s", step.words, code, out.String(), err.String())
		}
	}
	for words, log := range map[string]string{
		"last": "the trash is empty", "20260101T000000Z": "the trash is empty",
	} {
		var out, err bytes.Buffer
		command(context.Background(), []string{"undo", words, "--config", config}, &out, &err)
		if !strings.Contains(out.String(), log) {
			t.Errorf("%s: %s", words, out.String())
		}
	}
}

func TestAScheduleEndsWithASignal(t *testing.T) {
	config := write(t, "version: 0.1\nstorage: {filesystem: {rootdirectory: "+t.TempDir()+"}}")
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	var out, err bytes.Buffer
	code := command(ctx, []string{"schedule", "0 4 * * *", "--config", config}, &out, &err)
	if code != 0 || !strings.Contains(out.String(), `"until":"2`) {
		t.Errorf("%d, %s%s", code, out.String(), err.String())
	}
}

func TestAScheduleAnswersItsHealthCheck(t *testing.T) {
	aliveSocket = "@registry-gc-test"
	check := func() int {
		return command(context.Background(), []string{"healthcheck"}, io.Discard, io.Discard)
	}
	if check() != 1 {
		t.Error("healthy without a schedule")
	}
	ctx, stop := context.WithCancel(context.Background())
	answer(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if check() != 0 {
		t.Error("not healthy")
	}
	stop()
}

func TestWrongUsageIsExplained(t *testing.T) {
	for _, words := range [][]string{
		{}, {"nonsense"}, {"run", "more"}, {"run", "--grace", "x"}, {"run", "--grace", "-1s"},
		{"run", "--format", "xml"}, {"run", "--keep-digests", "f"}, {"undo"}, {"schedule"},
		{"schedule", "0 4"},
	} {
		var out, err bytes.Buffer
		if code := command(context.Background(), words, &out, &err); code != 2 || err.Len() == 0 {
			t.Errorf("%v: %d, %s%s", words, code, out.String(), err.String())
		}
	}
}

func TestDigestsThatStayAreReadFromAFile(t *testing.T) {
	d := digest.FromString("a")
	keep, err := readKeep(write(t, "# comment\n\n localhost:5000/a:tag@"+d.String()+" \n"))
	if err != nil || len(keep) != 1 || !keep.has(d) {
		t.Errorf("%v, %v", keep, err)
	}
	if _, err := readKeep(write(t, "latest\n")); err == nil {
		t.Error("a tag is taken for a digest")
	}
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
	if err == nil || !missing(driver.Error{DriverName: "filesystem", Detail: err}) {
		t.Errorf("%v isn't taken for missing", err)
	}
	if missing(driver.Error{DriverName: "filesystem", Detail: os.ErrPermission}) || missing(nil) {
		t.Error("what can't be read is taken for missing")
	}
}
