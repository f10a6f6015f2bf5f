package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

func TestMain(m *testing.M) { registrytest.Main(m, map[string]func(){"backup": main}) }

// to returns an archive on the other kind of storage than the registry's.
func to(t *testing.T, backend string) string {
	if backend == "s3" {
		return t.TempDir()
	}
	file := filepath.Join(t.TempDir(), "to.yml")
	content := "version: 0.1\nstorage:\n  " + registrytest.Backends["s3"](t).Storage + "\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// must runs a command and returns its last line.
func must(t *testing.T, words ...string) map[string]any {
	t.Helper()
	out, err := registrytest.Role("backup", words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", words, err, out)
	}
	var last map[string]any
	for line := range bytes.Lines(out) {
		_ = json.Unmarshal(line, &last)
	}
	return last
}

// stable pushes images that no client touches, and returns what has to be in every backup from now on.
func stable(t *testing.T, s *registrytest.Site, count int) map[string]digest.Digest {
	before := maps.Clone(s.Pushed)
	for i := range count {
		layers := []string{fmt.Sprint("stable ", i), "of all"}
		if !s.Push("stable/app", fmt.Sprint("v", i), fmt.Sprintf(`{"stable": %d}`, i), layers) {
			t.Fatal("not pushed")
		}
	}
	pushed := maps.Clone(s.Pushed)
	maps.DeleteFunc(pushed, func(name string, _ digest.Digest) bool { _, ok := before[name]; return ok })
	return pushed
}

// restored restores an archive to a new registry, and fails unless all of it pulls, with what is stable;
// it returns figures.
func restored(
	t *testing.T, archive, backend string, stable map[string]digest.Digest,
) registrytest.Fields {
	t.Helper()
	must(t, "verify", archive)
	s := registrytest.NewSite(t, registrytest.Backends[backend](t))
	must(t, "restore", archive, "--config", s.Config)
	a, err := openArchive(context.Background(), archive)
	if err != nil {
		t.Fatal(err)
	}
	name, err := a.name(context.Background(), "last")
	if err != nil {
		t.Fatal(err)
	}
	g, err := a.load(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	for repository, r := range g.Repositories {
		for tag, d := range r.Tags {
			s.Pushed[repository+"/manifests/"+tag] = d
		}
	}
	maps.Copy(s.Pushed, stable)
	broken := s.Broken()
	if broken != nil {
		t.Errorf("broken: %v", broken)
	}
	return registrytest.Fields{"checked": s.Checked, "stable": len(stable), "lost": len(broken)}
}

// LOAD_RUNS is how many backups are made.
func TestUnderLoadEveryTagIsRestored(t *testing.T) {
	runs := registrytest.Times(t, "LOAD_RUNS")
	for _, backend := range []string{"files", "s3"} {
		t.Run(backend, func(t *testing.T) {
			archive := to(t, backend)
			s := registrytest.NewSite(t, registrytest.Backends[backend](t))
			all := stable(t, s, 10)
			s.Begin()
			time.Sleep(time.Second)
			for range runs {
				last := must(t, "run", archive, "--config", s.Config, "--keep", "2")
				t.Log(last)
			}
			s.End()
			figures := registrytest.Fields{"runs": runs}
			registrytest.Figures(t, s.Operations(), figures, restored(t, archive, backend, all))
			if s.Pushes.Load() == 0 {
				t.Error("nothing was put to the test")
			}
		})
	}
}

// LOAD_KILLS is how often a backup is killed.
func TestKilledUnderLoadItCompletesLater(t *testing.T) {
	kills := registrytest.Times(t, "LOAD_KILLS")
	for _, backend := range []string{"files", "s3"} {
		t.Run(backend, func(t *testing.T) {
			archive := to(t, backend)
			s := registrytest.NewSite(t, registrytest.Backends[backend](t))
			all := stable(t, s, 10)
			s.Begin()
			for killed := 0; killed < kills; {
				process := registrytest.Role("backup", "run", archive, "--config", s.Config, "--keep", "1")
				if err := process.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(50+rand.IntN(800)) * time.Millisecond)
				_ = process.Process.Kill()
				if process.Wait() != nil {
					killed++
				}
			}
			must(t, "run", archive, "--config", s.Config)
			s.End()
			figures := registrytest.Fields{"kills": kills}
			registrytest.Figures(t, s.Operations(), figures, restored(t, archive, backend, all))
		})
	}
}

// Time and memory of each command: LOAD_TAGS is how many tags there are.
func TestManyTags(t *testing.T) {
	tags := registrytest.Times(t, "LOAD_TAGS")
	for _, backend := range []string{"files", "s3"} {
		t.Run(backend, func(t *testing.T) {
			config := func() string {
				section := registrytest.Backends[backend](t).Storage
				return write(t, "version: 0.1\nstorage:\n  "+section+"\n")
			}
			source, target, archive := config(), config(), to(t, backend)
			store, _, err := storage.Open(context.Background(), source)
			if err != nil {
				t.Fatal(err)
			}
			tree := registrytest.Tree{T: t, Store: store}
			registrytest.Each(tags, func(i int) {
				d := tree.Image("app", tree.Layer("app", fmt.Sprint("shared ", i%50)),
					tree.Layer("app", fmt.Sprint("a ", i)), tree.Layer("app", fmt.Sprint("b ", i)))
				tree.Tag("app", fmt.Sprint("v", i), d)
			})
			for _, words := range []string{
				"run TO --config " + source, "run TO --config " + source, "verify TO",
				"restore TO --config " + target,
			} {
				process := registrytest.Role("backup", strings.Fields(strings.ReplaceAll(words, "TO", archive))...)
				process.Env = append(process.Env, "TEST_LOCKS=real")
				timed(t, words, process)
			}
		})
	}
}

// timed runs a command and logs what it took.
func timed(t *testing.T, words string, process *exec.Cmd) {
	began := time.Now()
	out, cpu, memory := registrytest.Measure(t, process)
	t.Logf("%s: %.2f s, %.2f s of CPU, %.0f MiB: %s",
		strings.Fields(words)[0], time.Since(began).Seconds(), cpu, memory, out)
}
