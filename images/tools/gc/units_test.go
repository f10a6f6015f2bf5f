package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

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
		code := program(context.Background(), []string{"run", "--config", write(t, config)}, &out, &err)
		if code != 1 || !strings.Contains(out.String(), words) {
			t.Errorf("%s: %d, %s%s", config, code, out.String(), err.String())
		}
	}
}

func TestWhatACommandDoesIsInItsLog(t *testing.T) {
	storage.Settled = time.Millisecond
	p := onFiles(t)
	p.Layer("app", "loose")
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
		code := program(context.Background(), append(step.words, "--config", config), &out, &err)
		if code != 0 || !strings.Contains(out.String(), step.log) {
			t.Errorf("%v: %d, %s%s", step.words, code, out.String(), err.String())
		}
	}
	for words, log := range map[string]string{
		"last": "the trash is empty", "20260101T000000Z": "the trash is empty",
	} {
		var out, err bytes.Buffer
		program(context.Background(), []string{"undo", words, "--config", config}, &out, &err)
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
	code := program(ctx, []string{"schedule", "0 4 * * *", "--config", config}, &out, &err)
	if code != 0 || !strings.Contains(out.String(), `"until":"2`) {
		t.Errorf("%d, %s%s", code, out.String(), err.String())
	}
}

func TestWrongUsageIsExplained(t *testing.T) {
	for _, words := range [][]string{
		{}, {"nonsense"}, {"run", "more"}, {"run", "--grace", "x"}, {"run", "--grace", "-1s"},
		{"run", "--format", "xml"}, {"run", "--keep-digests", "f"}, {"undo"}, {"schedule"},
		{"schedule", "0 4"},
	} {
		var out, err bytes.Buffer
		if code := program(context.Background(), words, &out, &err); code != 2 || err.Len() == 0 {
			t.Errorf("%v: %d, %s%s", words, code, out.String(), err.String())
		}
	}
}

func TestDigestsThatStayAreReadFromAFile(t *testing.T) {
	d := digest.FromString("a")
	keep, err := readKeep(write(t, "# comment\n\n localhost:5000/a:tag@"+d.String()+" \n"))
	if err != nil || len(keep) != 1 || !keep.Has(d) {
		t.Errorf("%v, %v", keep, err)
	}
	if _, err := readKeep(write(t, "latest\n")); err == nil {
		t.Error("a tag is taken for a digest")
	}
}
