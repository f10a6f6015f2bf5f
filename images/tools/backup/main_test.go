package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// onDisk returns a registry in a folder, and the file that configures it.
func onDisk(t *testing.T) (registrytest.Tree, string) {
	folder := t.TempDir()
	d := filesystem.New(filesystem.DriverParameters{RootDirectory: folder, MaxThreads: 100})
	config := write(t, "version: 0.1\nstorage: {filesystem: {rootdirectory: "+folder+"}}")
	return registrytest.Tree{T: t, Store: &storage.Store{StorageDriver: d, Now: time.Now}}, config
}

func run(words ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = program(context.Background(), words, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestWhatACommandDoesIsInItsLog(t *testing.T) {
	storage.Settled = time.Millisecond
	registry, config := onDisk(t)
	registry.Tag("app", "v1", registry.Image("app", registry.Layer("app", "layer")))
	into, empty := onDisk(t)
	folder := t.TempDir()
	// The same place, described in a file; the variables of the registry aren't its own.
	to := write(t, "version: 0.1\nstorage: {filesystem: {rootdirectory: /nowhere}}")
	t.Setenv("BACKUP_STORAGE_FILESYSTEM_ROOTDIRECTORY", folder)
	t.Setenv("REGISTRY_LOG_LEVEL", "error")
	settings, keys := write(t, "of the stack"), write(t, "encrypted")
	for _, step := range []struct {
		words []string
		code  int
		log   string
	}{
		{[]string{"list", folder}, 0, ""},
		{[]string{"verify", folder}, 1, "there is no backup"},
		{[]string{"restore", folder, "--config", empty}, 1, "there is no backup"},
		{[]string{"run", folder, "--config", config, "--attach", "stack=" + settings}, 0,
			`"new":true,"tags":1,"blobs":3,"bytes":`},
		{[]string{"run", to, "--config", config, "--keep", "2", "--attach", "stack=" + settings}, 0,
			`"new":false,`},
		{[]string{"list", to, "--format", "text"}, 0, "tags=1 manifests=1 blobs=3 bytes="},
		{[]string{"list", to}, 0, `"msg":"the last run","last_run":{"ended":"2`},
		{[]string{"healthcheck"}, 1, "connect"},
		{[]string{"verify", to}, 0, `"generations":1,"blobs":3,`},
		{[]string{"file", folder, "stack"}, 0, "of the stack"},
		{[]string{"file", folder, "other"}, 1, "has no file other"},
		{[]string{"run", folder, "--config", config, "--attach", "keys=" + keys}, 0, `"new":true,`},
		{[]string{"list", folder}, 0, `"files":["keys","stack"]`},
		{[]string{"run", folder, "--config", config, "--attach", "stack=" + settings}, 0, `"new":false,`},
		{[]string{"file", folder, "keys"}, 0, "encrypted"},
		{[]string{"restore", folder, "--config", empty, "--generation", "x"}, 1, "no generation x: there are 2"},
		{[]string{"restore", folder, "--config", empty}, 0, `"tags_restored":1,"tags_kept":0,"blobs_copied":2`},
	} {
		code, out, err := run(step.words...)
		if code != step.code || !strings.Contains(out, step.log) {
			t.Errorf("%v: %d, %s%s", step.words, code, out, err)
		}
	}
	whole(into, "app", "v1")
}

func TestPlacesThatAreNoneAreRefused(t *testing.T) {
	_, config := onDisk(t)
	mirror := write(t, "version: 0.1\nstorage: {inmemory: {}}\nproxy: {remoteurl: 'http://a'}")
	for words, log := range map[string]string{
		"run /nowhere/at/all --config " + config:                                       "make it, or mount it",
		"run " + write(t, "nonsense") + " --config " + config:                          "unmarshal",
		"run " + write(t, "version: 0.1") + " --config " + config:                      "storage is missing",
		"run " + write(t, "version: 0.1\nstorage: {none: {}}") + " --config " + config: "storage",
		"run " + t.TempDir() + " --config " + mirror:                                   "mirror",
		"schedule @ " + t.TempDir() + " --config " + mirror:                            "mirror",
	} {
		arguments := strings.Fields(words)
		if arguments[0] == "schedule" {
			arguments[1] = "0 3 * * *"
		}
		if code, out, err := run(arguments...); code != 1 || !strings.Contains(out, log) {
			t.Errorf("%s: %d, %s%s", words, code, out, err)
		}
	}
}

func TestAScheduleAnswersHealthChecksUntilASignal(t *testing.T) {
	_, config := onDisk(t)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	go func() {
		for ctx.Err() == nil {
			if code, _, _ := run("healthcheck"); code == 0 {
				stop()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var out, err bytes.Buffer
	code := program(ctx, []string{"schedule", "0 3 * * *", t.TempDir(), "--config", config}, &out, &err)
	if code != 0 || ctx.Err() != context.Canceled {
		t.Errorf("%d, %s%s", code, out.String(), err.String())
	}
}

func TestASignalEndsARun(t *testing.T) {
	storage.Settled = time.Millisecond
	registry, config := onDisk(t)
	registry.Tag("app", "v1", registry.Image("app"))
	ctx, stop := context.WithCancel(context.Background())
	stop()
	folder := t.TempDir()
	var out, err bytes.Buffer
	code := program(ctx, []string{"run", folder, "--config", config}, &out, &err)
	left, _ := os.ReadDir(folder + "/generations")
	if code != 130 || len(left) != 0 {
		t.Errorf("%d, %v, %s%s", code, left, out.String(), err.String())
	}
	if code, out, _ := run("run", folder, "--config", config); code != 0 {
		t.Error(out)
	}
}

func TestWrongUsageIsExplained(t *testing.T) {
	for _, words := range [][]string{
		{}, {"nonsense"}, {"run"}, {"run", "a", "b"}, {"run", "a", "--keep", "-1"},
		{"run", "a", "--wait", "-1s"}, {"run", "a", "--attach", "file"}, {"run", "a", "--format", "xml"},
		{"schedule", "0 3 * * *"}, {"schedule", "0 3", "a"}, {"list"}, {"list", "a", "--keep", "1"},
		{"verify"}, {"restore"}, {"restore", "a", "--keep", "1"}, {"file", "a"},
	} {
		if code, out, err := run(words...); code != 2 || len(err) == 0 {
			t.Errorf("%v: %d, %s%s", words, code, out, err)
		}
	}
}
