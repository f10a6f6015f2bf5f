package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"

	"registry.local/images/tools/registrytest"
)

func TestMain(m *testing.M) { registrytest.Main(m, map[string]func(){"gc": main}) }

func collect(s *registrytest.Site, words ...string) *exec.Cmd {
	words = append([]string{
		"run", "--config", s.Config, "--grace", "1s", "--trash", "3s", "--second-look", "300ms",
	}, words...)
	return registrytest.Role("gc", words...)
}

// total adds up numbers of the summaries in a log.
func total(log []byte, into map[string]float64) {
	for line := range bytes.Lines(log) {
		var record struct{ Summary map[string]any }
		if json.Unmarshal(line, &record) == nil {
			for key, value := range record.Summary {
				if number, ok := value.(float64); ok {
					into[key] += number
				}
			}
		}
	}
}

// GC_RUNS is how often the clean-up runs.
func TestUnderLoadEveryTagStaysWhole(t *testing.T) {
	runs := registrytest.Times(t, "GC_RUNS")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewSite(t, make(t))
			s.Begin()
			time.Sleep(2 * time.Second)
			sums, peak := map[string]float64{}, 0.0
			for run := range runs {
				process := collect(s)
				if run%2 == 1 {
					process = collect(s, "--untagged")
				}
				out, _, memory := registrytest.Measure(t, process)
				peak = max(peak, memory)
				total(out, sums)
				if broken := s.Broken(); broken != nil {
					t.Fatalf("after run %d, broken: %v\n%s", run, broken, out)
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.End()
			broken := s.Broken()
			if broken != nil {
				t.Errorf("broken: %v", broken)
			}
			if sums["blobs_aside"] == 0 || s.Pushes.Load() == 0 {
				t.Error("nothing was put to the test")
			}
			all, left, unknown := space(t, s)
			if all == 0 || left > 0 {
				t.Errorf("of %d bytes that were deleted, %d are left", all, left)
			}
			registrytest.Figures(t, s.Operations(), registrytest.Fields{
				"runs": runs, "lost": len(broken), "memory": peak, "seconds": sums["seconds"],
				"aside": sums["blobs_aside"], "back": sums["brought_back"], "freed": all - left, "unknown": unknown,
			})
		})
	}
}

// space deletes all that was pushed, and returns the bytes of all content before, those that are left
// once the trash's time has passed, and how many of the tags no client knew of.
func space(t *testing.T, s *registrytest.Site) (before, after int64, unknown int) {
	store, _, err := open(context.Background(), s.Config)
	if err != nil {
		t.Fatal(err)
	}
	size := func() (sum int64) {
		err := store.Files(context.Background(), "/docker/registry", func(info driver.FileInfo) {
			if strings.HasSuffix(info.Path(), "/data") {
				sum += info.Size()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	before = size()
	unknown = s.RemoveAll()
	for range 2 { // puts it aside, and empties the trash
		time.Sleep(5 * time.Second)
		if out, err := collect(s, "--untagged").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return before, size(), unknown
}

// GC_KILLS is how often it is killed.
func TestKilledUnderLoadNothingIsLost(t *testing.T) {
	kills := registrytest.Times(t, "GC_KILLS")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewSite(t, make(t))
			s.Begin()
			time.Sleep(2 * time.Second)
			killed, sums := 0, map[string]float64{}
			for killed < kills {
				process := collect(s)
				if err := process.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(50+rand.IntN(1200)) * time.Millisecond)
				_ = process.Process.Kill()
				if process.Wait() != nil {
					killed++
				}
				if killed%3 == 0 { // one follows another, too
					continue
				}
				out, err := collect(s).CombinedOutput()
				if err != nil {
					t.Fatalf("after %d kills, %v: %s", killed, err, out)
				}
				total(out, sums)
				if broken := s.Broken(); broken != nil {
					t.Fatalf("after %d kills, broken: %v\n%s", killed, broken, out)
				}
			}
			if out, err := collect(s).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			s.End()
			broken := s.Broken()
			if broken != nil {
				t.Errorf("broken: %v", broken)
			}
			registrytest.Figures(t, s.Operations(), registrytest.Fields{
				"kills": killed, "lost": len(broken), "back": sums["brought_back"],
			})
		})
	}
}

// The registry's own garbage-collect under the same load: GC_STOCK is how often it runs.
func TestUnderLoadTheStockToolBreaksTags(t *testing.T) {
	runs := registrytest.Times(t, "GC_STOCK")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewSite(t, make(t))
			s.Begin()
			time.Sleep(2 * time.Second)
			failed := 0
			for range runs {
				if registrytest.Role("registry", "garbage-collect", s.Config).Run() != nil {
					failed++
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.End()
			registrytest.Figures(t, s.Operations(), registrytest.Fields{
				"runs": runs, "failed": failed, "lost": len(s.Broken()), "tags": len(s.Pushed),
			})
		})
	}
}

// Time and memory of a run over many tags: GC_TAGS is how many.
func TestManyTags(t *testing.T) {
	tags := registrytest.Times(t, "GC_TAGS")
	for name, make := range registrytest.Backends {
		if name == "redis" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := write(t, "version: 0.1\nstorage:\n  "+make(t).Storage+"\n")
			opened, _, err := open(context.Background(), file)
			if err != nil {
				t.Fatal(err)
			}
			p := &registrytest.Tree{T: t, Store: opened}
			registrytest.Each(tags, func(i int) {
				d := p.Image("app", p.Layer("app", fmt.Sprint("shared ", i%50)),
					p.Layer("app", fmt.Sprint("a ", i)), p.Layer("app", fmt.Sprint("b ", i)))
				if i%10 != 0 {
					p.Tag("app", fmt.Sprint("v", i), d)
				}
			})
			for _, words := range [][]string{{}, {"--untagged"}} {
				process := registrytest.Role("gc", append([]string{
					"run", "--config", file, "--grace", "0s", "--second-look", "0s",
				}, words...)...)
				out, cpu, memory := registrytest.Measure(t, process)
				sums := map[string]float64{}
				total(out, sums)
				t.Logf("%d tags, %v: %.2f s of CPU, %.0f MiB, %v", tags, words, cpu, memory, sums)
			}
		})
	}
}
