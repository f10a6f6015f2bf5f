package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/registrytest"
)

// rulesFile writes rules for all repositories.
func rulesFile(t *testing.T, keep int, olderThan time.Duration) string {
	content, _ := json.Marshal([]registrytest.Fields{{
		"repositories": []string{"**"}, "keep": keep, "olderThan": olderThan.String(),
		"never": []string{"v*"},
	}})
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// RETENTION_RUNS is how often tags go, those that were pushed more than five seconds ago, while
// clients push the same tags again and again: each has to be there that was pushed just now, and each
// that is there has to be whole.
func TestRetentionTakesNoTagThatIsPushed(t *testing.T) {
	const olderThan = 5 * time.Second
	runs := registrytest.Times(t, "RETENTION_RUNS")
	for name, make := range registrytest.Backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := registrytest.NewSite(t, make(t))
			var checked, lost atomic.Int64
			for number := range registrytest.Clients {
				s.Clients.Add(1)
				go pushAgain(s, number, olderThan, &checked, &lost)
			}
			rules, sums := rulesFile(t, 0, olderThan), map[string]float64{}
			for run := range runs {
				words := []string{"retention", "--config", s.Config, "--rules", rules}
				if run%2 == 1 {
					words = []string{
						"run", "--config", s.Config, "--rules", rules, "--untagged",
						"--grace", "3s", "--trash", "0s", "--second-look", "0s",
					}
				}
				out, err := registrytest.Role("gc", words...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				total(out, sums)
				time.Sleep(time.Second)
			}
			s.End()
			s.Pushed = s.Listed()
			if broken := s.Broken(); broken != nil {
				t.Errorf("broken: %v", broken)
			}
			t.Logf("%d pushes, %d checked, %d lost, %d tags left, %.0f put aside",
				s.Pushes.Load(), checked.Load(), lost.Load(), len(s.Pushed), sums["tags_aside"])
			if lost.Load() > 0 {
				t.Error("tags that had just been pushed went")
			}
			if checked.Load() == 0 || sums["tags_aside"] == 0 {
				t.Error("nothing was put to the test")
			}
		})
	}
}

// pushAgain pushes few tags again and again, after about as long as they may last, and looks for each.
func pushAgain(s *registrytest.Site, number int, olderThan time.Duration, checked, lost *atomic.Int64) {
	defer s.Clients.Done()
	random := rand.New(rand.NewPCG(uint64(number), 2))
	repository := registrytest.Repository(number)
	for count := 0; ; count++ {
		select {
		case <-s.Stopped:
			return
		case <-time.After(time.Duration(random.IntN(600)) * time.Millisecond):
		}
		tag := fmt.Sprintf("client%d-%d", number, random.IntN(12))
		config := fmt.Sprintf(`{"client":%d,"version":%d}`, number, count)
		if random.IntN(2) == 0 {
			config = fmt.Sprintf(`{"tag":%q}`, tag) // the same again
		}
		began := time.Now()
		if !s.Push(repository, tag, config, []string{fmt.Sprint("layer ", random.IntN(9))}) {
			s.Retries.Add(1)
			continue
		}
		s.Pushes.Add(1)
		name := repository + "/manifests/" + tag
		s.Mutex.Lock()
		wanted := s.Pushed[name]
		s.Mutex.Unlock()
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		status, _, content := s.Ask("GET", name, nil, "")
		// On object stores a tag isn't there for the moment in which it was to go.
		for status == 404 && time.Since(began) < 2*time.Second {
			time.Sleep(100 * time.Millisecond)
			status, _, content = s.Ask("GET", name, nil, "")
		}
		if time.Since(began) > olderThan-1500*time.Millisecond { // stores have times in seconds
			continue
		}
		checked.Add(1)
		if status != 200 || digest.FromBytes(content) != wanted {
			lost.Add(1)
			s.T.Errorf("%s: %d, %s", name, status, content)
		}
	}
}

// Time and memory of retention over many tags, RETENTION_TAGS of them and ten times as many: it grows
// no faster than they do.
func TestRetentionOfManyTagsGrowsAsTheyDo(t *testing.T) {
	tags := registrytest.Times(t, "RETENTION_TAGS")
	for name, make := range registrytest.Backends {
		if name == "redis" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seconds, memory [2]float64
			for i, number := range []int{tags, 10 * tags} {
				seconds[i], memory[i] = retainMany(t, make(t), number)
				t.Logf("%d tags: %.2f s of CPU, %.0f MiB", number, seconds[i], memory[i])
			}
			// What a process takes in any case isn't counted as growth, which is generous for few.
			if seconds[1] > 25*seconds[0]+1 || memory[1] > 15*memory[0] {
				t.Errorf("ten times as many take %.1f times the CPU and %.1f times the memory",
					seconds[1]/seconds[0], memory[1]/memory[0])
			}
		})
	}
}

// retainMany has half of the tags go, of which each tenth is signed, and returns the seconds of CPU and
// the MiB that it took.
func retainMany(t *testing.T, b registrytest.Backend, tags int) (seconds, memory float64) {
	file := write(t, "version: 0.1\nstorage:\n  "+b.Storage+"\n")
	opened, _, err := open(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	p := &registrytest.Tree{T: t, Store: opened}
	registrytest.Each(tags, func(i int) {
		d := p.Manifest("app", registrytest.Fields{"annotations": registrytest.Fields{"n": fmt.Sprint(i)}})
		tag := fmt.Sprint([]string{"v", "b"}[i%2], i)
		p.Tag("app", tag, d)
		if i%20 < 2 {
			signature := registrytest.Fields{"layers": registrytest.Named(), "n": i}
			p.Tag("app", subjectName(d)+".sig", p.Manifest("app", signature))
		}
	})
	time.Sleep(1100 * time.Millisecond) // stores have times in seconds
	process := registrytest.Role("gc", "retention", "--config", file, "--rules", rulesFile(t, 0, 0))
	out, seconds, memory := registrytest.Measure(t, process)
	sums := map[string]float64{}
	total(out, sums)
	if wanted := float64(tags/2 + tags/20); sums["tags_aside"] != wanted || sums["tags_kept"] != wanted {
		t.Errorf("%v of %d went: %s", sums["tags_aside"], tags, out[max(0, len(out)-2000):])
	}
	if strings.Contains(string(out), "WARN") {
		t.Errorf("%s", out)
	}
	return seconds, memory
}
