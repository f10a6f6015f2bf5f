package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registry.local/images/tools/registrytest"
)

func TestMain(m *testing.M) { registrytest.Main(m, map[string]func(){"move": main}) }

// underLoad is a registry that is moved while clients use it.
type underLoad struct {
	old, moved    *registrytest.Site
	token, source string
}

func (u *underLoad) process(step string, flags ...string) *exec.Cmd {
	words := append([]string{step, "--token", u.token, "--notice", "1s"}, flags...)
	return registrytest.Role("move", words...)
}

// copier returns a step of the copy.
func (u *underLoad) copier(step string) *exec.Cmd {
	return u.process(step, "--source", "http://"+u.source, "--config", u.moved.Config, "--place", "new")
}

// must runs a step to its end.
func (u *underLoad) must(t *testing.T, step string) {
	t.Helper()
	out, err := u.copier(step).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", step, err, out)
	}
	var last struct{ Counts counts }
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if json.Unmarshal([]byte(lines[len(lines)-1]), &last) == nil {
		t.Logf("%s: %+v", step, last.Counts)
	}
}

// serve hands out the files of the old registry until the test ends.
func (u *underLoad) serve(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.source = listener.Addr().String()
	listener.Close()
	u.token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(u.token, []byte("of the test"), 0o600); err != nil {
		t.Fatal(err)
	}
	gate := "127.0.0.1:0=" + strings.TrimSuffix(u.old.URL, "/v2/")
	process := u.process("serve", "--gate", gate, "--files", u.source, "--config", u.old.Config, "--place", "old")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
}

// LOAD_KILLS is how often a copy is killed.
func TestUnderLoadAllGoesToAnotherStorage(t *testing.T) {
	kills := registrytest.Times(t, "LOAD_KILLS")
	for name, way := range map[string][2]string{
		"files": {"files", "s3"}, "s3": {"s3", "files"}, "between": {"s3", "s3"},
	} {
		t.Run(name, func(t *testing.T) {
			u := &underLoad{
				old:   registrytest.NewSite(t, registrytest.Backends[way[0]](t)),
				moved: registrytest.NewSite(t, registrytest.Backends[way[1]](t)),
			}
			for i := range 5 {
				u.old.Push("stable/app", fmt.Sprint("v", i), fmt.Sprintf(`{"stable": %d}`, i),
					[]string{fmt.Sprint("stable ", i), strings.Repeat("large", 1<<20) + fmt.Sprint(i)})
			}
			u.serve(t)
			u.old.Begin()
			for range kills {
				process := u.copier("copy")
				if err := process.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(50+rand.IntN(800)) * time.Millisecond)
				_ = process.Process.Kill()
				_ = process.Wait()
			}
			u.must(t, "copy")
			u.old.End()
			u.must(t, "rest")
			u.must(t, "end")
			u.moved.Pushed = u.old.Pushed
			if broken := u.moved.Broken(); broken != nil {
				t.Errorf("broken: %v", broken)
			}
			t.Logf("%d tags moved, of %d pushes", len(u.moved.Pushed), u.old.Pushes.Load())
			if u.old.Pushes.Load() == 0 {
				t.Error("nothing was put to the test")
			}
		})
	}
}
