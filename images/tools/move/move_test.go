package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sides are the two nodes of a move, and the registry behind the gate.
type sides struct {
	from, to string
	gate     *gate
	writes   *httptest.Server
	copier   *copier
}

func newSides(t *testing.T, registry http.HandlerFunc) *sides {
	t.Helper()
	if registry == nil {
		registry = func(http.ResponseWriter, *http.Request) {}
	}
	behind := httptest.NewServer(registry)
	t.Cleanup(behind.Close)
	address, _ := url.Parse(behind.URL)
	s := &sides{from: t.TempDir(), to: t.TempDir(), gate: newGate(time.Minute, time.Minute)}
	from := &source{place: in(t, s.from), token: "right", gate: s.gate}
	files := httptest.NewServer(from.handler())
	t.Cleanup(files.Close)
	s.writes = httptest.NewServer(s.gate.before(address))
	t.Cleanup(s.writes.Close)
	t.Cleanup(func() { s.gate.open() })
	s.copier = newCopier(in(t, s.to), files.URL)
	if err := s.copier.begin(context.Background(), time.Minute); err != nil {
		t.Fatal(err)
	}
	return s
}

// in returns a folder as a place.
func in(t *testing.T, path string) folder {
	t.Helper()
	f, err := newFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.root.Close() })
	return f
}

func newCopier(into place, source string) *copier {
	return &copier{place: into, source: source, token: "right", client: http.DefaultClient,
		log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func write(t *testing.T, folder, path, text string, age time.Duration) {
	t.Helper()
	whole := filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(whole, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	moment := time.Now().Add(-age)
	if err := os.Chtimes(whole, moment, moment); err != nil {
		t.Fatal(err)
	}
}

func read(folder, path string) string {
	text, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return ""
	}
	return string(text)
}

func blob(text string) string {
	sum := sha256.Sum256([]byte(text))
	name := hex.EncodeToString(sum[:])
	return kept + "blobs/sha256/" + name[:2] + "/" + name + "/data"
}

func pass(t *testing.T, s *sides, looks bool) counts {
	t.Helper()
	done, err := s.copier.pass(context.Background(), looks)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

const link = "docker/registry/v2/repositories/a/_manifests/tags/1/current/link"

func TestACopyIsTheSourceAndCopiesNothingTwice(t *testing.T) {
	s := newSides(t, nil)
	write(t, s.from, blob("layer"), "layer", time.Hour)
	write(t, s.from, link, "sha256:1", time.Hour)
	write(t, s.from, "docker/registry/trash/lock.json", "{}", 0)
	write(t, s.to, "docker/registry/v2/repositories/old/_layers/link", "x", time.Hour)
	if seen := pass(t, s, true); seen.Copied != 2 || seen.Removed != 1 || seen.Free == 0 {
		t.Fatalf("a look counts %+v", seen)
	}
	if read(s.to, link) != "" {
		t.Fatal("a look has copied")
	}
	pass(t, s, false)
	if read(s.to, blob("layer")) != "layer" || read(s.to, link) != "sha256:1" {
		t.Fatal("the copy isn't whole")
	}
	if _, err := os.Stat(filepath.Join(s.to, "docker/registry/v2/repositories/old")); err == nil {
		t.Fatal("what the source doesn't have is there")
	}
	if read(s.to, "docker/registry/trash/lock.json") != "" {
		t.Fatal("the lock of a process over there keeps clean-ups away here")
	}
	if again := pass(t, s, false); again.Copied+again.Removed != 0 {
		t.Fatalf("the second pass does %+v", again)
	}
	write(t, s.from, link, "sha256:2", 0)
	if rest := pass(t, s, false); rest.Copied != 1 || read(s.to, link) != "sha256:2" {
		t.Fatalf("the rest is %+v", rest)
	}
}

func TestABlobThatIsBrokenEndsTheCopyByName(t *testing.T) {
	s := newSides(t, nil)
	write(t, s.from, blob("layer"), "lager", time.Hour)
	_, err := s.copier.pass(context.Background(), false)
	if err == nil || !strings.Contains(err.Error(), blob("layer")) {
		t.Fatalf("the error is %v", err)
	}
	left, _ := s.copier.place.list(context.Background())
	if len(left) != 0 {
		t.Fatalf("there is %v", left)
	}
}

func TestADraftOfACopyThatWasKilledGoes(t *testing.T) {
	s := newSides(t, nil)
	write(t, s.from, blob("layer"), "layer", time.Hour)
	write(t, s.to, filepath.Dir(blob("layer"))+"/"+draftPrefix+"1", "lay", time.Hour)
	pass(t, s, false)
	names, _ := os.ReadDir(filepath.Join(s.to, filepath.Dir(blob("layer"))))
	if len(names) != 1 {
		t.Fatalf("there is %v", names)
	}
}

func TestTheEndTakesNothingFromTheNewRegistry(t *testing.T) {
	s := newSides(t, nil)
	write(t, s.from, link, "sha256:old", time.Hour)
	write(t, s.to, link, "sha256:new", 0)
	write(t, s.from, blob("late"), "late", 0)
	write(t, s.to, blob("pushed here"), "pushed here", 0)
	if _, err := s.copier.late(context.Background()); err != nil {
		t.Fatal(err)
	}
	if read(s.to, link) != "sha256:new" || read(s.to, blob("pushed here")) == "" {
		t.Fatal("what was pushed to the new registry is lost")
	}
	if read(s.to, blob("late")) != "late" {
		t.Fatal("what the old registry finished is lost")
	}
}

func TestWhatAStoppingRegistryFinishesComesToo(t *testing.T) {
	s := newSides(t, nil)
	s.gate.close(context.Background())
	go func() {
		time.Sleep(100 * time.Millisecond)
		write(t, s.from, link, "sha256:late", 0)
	}()
	if _, _, err := s.copier.end(context.Background(), time.Second); err != nil {
		t.Fatal(err)
	}
	if read(s.to, link) != "sha256:late" {
		t.Fatal("what came late is lost")
	}
}

func TestWithoutTheTokenNothingIsHandedOut(t *testing.T) {
	s := newSides(t, nil)
	write(t, s.from, link, "sha256:1", 0)
	for _, token := range []string{"", "wrong"} {
		s.copier.token = token
		if _, err := s.copier.pass(context.Background(), false); err == nil {
			t.Fatalf("token %q gets the files", token)
		}
		var waited pause
		if err := s.copier.tell(context.Background(), http.MethodPost, "/close", &waited); err == nil {
			t.Fatalf("token %q closes the gate", token)
		}
	}
}

func TestNothingOutsideTheFolderIsHandedOut(t *testing.T) {
	s := newSides(t, nil)
	write(t, filepath.Dir(s.from), "outside", "secret", 0)
	for _, path := range []string{"../outside", filepath.Join(filepath.Dir(s.from), "outside")} {
		if err := s.copier.copy(context.Background(), file{Path: path}); err == nil {
			t.Fatalf("%s is handed out", path)
		}
	}
}
