package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

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
			s.Begin(8)
			time.Sleep(2 * time.Second)
			sums := map[string]float64{}
			for run := range runs {
				process := collect(s)
				if run%2 == 1 {
					process = collect(s, "--untagged")
				}
				out, err := process.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				total(out, sums)
				if broken := s.Broken(); broken != nil {
					t.Fatalf("after run %d, broken: %v\n%s", run, broken, out)
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.End()
			if broken := s.Broken(); broken != nil {
				t.Errorf("broken: %v", broken)
			}
			t.Logf("%d tags, %d pushes, %d tried again, %v",
				len(s.Pushed), s.Pushes.Load(), s.Retries.Load(), sums)
			if sums["blobs_aside"] == 0 || s.Pushes.Load() == 0 {
				t.Error("nothing was put to the test")
			}
		})
	}
}

// GC_KILLS is how often it is killed.
func TestKilledUnderLoadNothingIsLost(t *testing.T) {
	kills := registrytest.Times(t, "GC_KILLS")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewSite(t, make(t))
			s.Begin(4)
			time.Sleep(2 * time.Second)
			for range kills {
				process := collect(s)
				if err := process.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(50+rand.IntN(1200)) * time.Millisecond)
				_ = process.Process.Kill()
				_ = process.Wait()
			}
			out, err := collect(s).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			s.End()
			if broken := s.Broken(); broken != nil {
				t.Errorf("broken: %v\n%s", broken, out)
			}
			t.Logf("%d tags, %d pushes, %d tried again", len(s.Pushed), s.Pushes.Load(), s.Retries.Load())
		})
	}
}

// The registry's own garbage-collect under the same load: GC_STOCK is how often it runs.
func TestUnderLoadTheStockToolBreaksTags(t *testing.T) {
	runs := registrytest.Times(t, "GC_STOCK")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewSite(t, make(t))
			s.Begin(8)
			time.Sleep(2 * time.Second)
			failed := 0
			for range runs {
				if registrytest.Role("registry", "garbage-collect", s.Config).Run() != nil {
					failed++
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.End()
			t.Logf("%d of %d tags broken, %d runs of %d failed",
				len(s.Broken()), len(s.Pushed), failed, runs)
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
