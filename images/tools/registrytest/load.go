package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

// Clients use a registry at once.
const Clients = 8

// Repository returns the one of a client, which two share.
func Repository(client int) string { return fmt.Sprintf("team/app%d", client/2) }

// Site is a registry, and clients that use it without a pause.
type Site struct {
	T      *testing.T
	Config string
	URL    string

	turn    sync.RWMutex // held for writing while all tags are pulled
	Mutex   sync.Mutex
	Pushed  map[string]digest.Digest // by REPOSITORY/manifests/TAG: what a client believes to be there
	Stopped chan struct{}            // closed at the end
	Clients sync.WaitGroup
	Pushes  atomic.Int64
	Retries atomic.Int64
	Deletes atomic.Int64
	Undone  atomic.Int64 // deletions that failed
	Pulls   atomic.Int64
	Gaps    atomic.Int64 // pulls that failed, for the moment
	Checked int          // tags that Broken has pulled
}

func NewSite(t *testing.T, b Backend) *Site {
	port := freePort(t)
	s := &Site{T: t, URL: fmt.Sprintf("http://127.0.0.1:%d/v2/", port)}
	s.Pushed, s.Stopped = map[string]digest.Digest{}, make(chan struct{})
	s.Config = filepath.Join(t.TempDir(), "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage:\n  delete: {enabled: true}\n  %s\nhttp: {addr: '127.0.0.1:%d'}\n%s",
		b.Storage, port, b.more)
	if err := os.WriteFile(s.Config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, Role("registry", "serve", s.Config), port)
	return s
}

var client = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 32},
}

// Ask sends a request and returns the answer's status, headers and body.
func (s *Site) Ask(method, path string, body []byte, kind string) (int, http.Header, []byte) {
	if !strings.HasPrefix(path, "http") {
		path = s.URL + path
	}
	request, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		s.T.Error(err)
		return 0, nil, nil
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Accept", manifestType)
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, nil
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, nil
	}
	return answer.StatusCode, answer.Header, content
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// pushBlob uploads a blob unless it is there, and returns whether it is there now.
func (s *Site) pushBlob(repository, content string) bool {
	d := digest.FromString(content)
	if status, _, _ := s.Ask("HEAD", repository+"/blobs/"+d.String(), nil, ""); status == 200 {
		return true
	}
	status, header, _ := s.Ask("POST", repository+"/blobs/uploads/", nil, "")
	if status != 202 {
		return false
	}
	to := header.Get("Location") + "&digest=" + d.String()
	status, _, _ = s.Ask("PUT", to, []byte(content), "application/octet-stream")
	return status == 201
}

// Push pushes an image of some layers, and returns whether the registry has confirmed it.
func (s *Site) Push(repository, tag, config string, layers []string) bool {
	describe := func(content, kind string) Fields {
		return Fields{"mediaType": kind, "digest": digest.FromString(content), "size": len(content)}
	}
	document := Fields{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe(config, "application/vnd.oci.image.config.v1+json"),
	}
	var all []Fields
	for _, layer := range append(layers, config) {
		if !s.pushBlob(repository, layer) {
			return false
		}
		if layer != config {
			all = append(all, describe(layer, "application/vnd.oci.image.layer.v1.tar"))
		}
	}
	document["layers"] = all
	content, _ := json.Marshal(document)
	name := repository + "/manifests/" + tag
	if status, _, _ := s.Ask("PUT", name, content, manifestType); status != 201 {
		return false
	}
	s.Mutex.Lock()
	defer s.Mutex.Unlock()
	s.Pushed[name] = digest.FromBytes(content)
	return true
}

// work pushes, pulls, deletes and pushes again, few images and layers so that they meet again, until
// the site stops.
func (s *Site) work(number int) {
	defer s.Clients.Done()
	random := rand.New(rand.NewPCG(uint64(number), 1))
	for {
		select {
		case <-s.Stopped:
			return
		default:
		}
		s.turn.RLock()
		s.operate(random, number)
		s.turn.RUnlock()
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

// operate does one thing with one of a client's own tags.
func (s *Site) operate(random *rand.Rand, number int) {
	repository := Repository(number)
	tag := fmt.Sprintf("client%d-%d", number, random.IntN(6))
	name := repository + "/manifests/" + tag
	s.Mutex.Lock()
	d, ok := s.Pushed[name]
	s.Mutex.Unlock()
	what := random.IntN(5)
	if ok && what == 0 {
		s.Pulls.Add(1)
		if !s.whole(name, d) {
			s.Gaps.Add(1)
		}
		return
	}
	s.Mutex.Lock()
	delete(s.Pushed, name)
	s.Mutex.Unlock()
	if ok && what < 3 {
		s.Deletes.Add(1)
		s.remove(name, d)
		return
	}
	config := fmt.Sprintf(`{"tag":%q,"version":%d}`, tag, random.IntN(3))
	layers := []string{
		fmt.Sprint("layer ", random.IntN(12)), fmt.Sprint("layer ", 12+random.IntN(12)),
	}
	if s.Push(repository, tag, config, layers) {
		s.Pushes.Add(1)
	} else {
		s.Retries.Add(1) // tried again some other time
	}
}

// remove deletes a manifest, and with it all tags that name it.
func (s *Site) remove(name string, d digest.Digest) {
	repository, _, _ := strings.Cut(name, "/manifests/")
	status, _, _ := s.Ask("DELETE", repository+"/manifests/"+d.String(), nil, "")
	if status != http.StatusAccepted {
		s.Undone.Add(1)
	}
}

// Listed returns the tags that the registry lists, and what they name.
func (s *Site) Listed() map[string]digest.Digest {
	all := map[string]digest.Digest{}
	for number := range Clients / 2 {
		repository := Repository(2 * number)
		var answer struct{ Tags []string }
		_, _, content := s.Ask("GET", repository+"/tags/list", nil, "")
		if err := json.Unmarshal(content, &answer); err != nil {
			s.T.Fatalf("%v: %s", err, content)
		}
		for _, tag := range answer.Tags {
			name := repository + "/manifests/" + tag
			_, header, _ := s.Ask("HEAD", name, nil, "")
			all[name] = digest.Digest(header.Get("Docker-Content-Digest"))
		}
	}
	return all
}

// RemoveAll deletes all that has a tag, and returns how many of these no client knew of: a push, or a
// deletion, that was refused may have been done all the same.
func (s *Site) RemoveAll() (unknown int) {
	for name, d := range s.Listed() {
		if s.Pushed[name] != d {
			unknown++
		}
		s.remove(name, d)
	}
	clear(s.Pushed)
	return unknown
}

func (s *Site) Begin() {
	for number := range Clients {
		s.Clients.Add(1)
		go s.work(number)
	}
}

func (s *Site) End() {
	close(s.Stopped)
	s.Clients.Wait()
}

// Broken returns the tags that can't be pulled as they were pushed, while all clients wait.
func (s *Site) Broken() (names []string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for name, d := range s.Pushed {
		s.Checked++
		if !s.whole(name, d) {
			names = append(names, name)
		}
	}
	return names
}

// whole returns whether a tag can be pulled, with all that it needs, as it was pushed.
func (s *Site) whole(name string, d digest.Digest) bool {
	status, _, content := s.Ask("GET", name, nil, "")
	whole := status == 200 && digest.FromBytes(content) == d
	found, _ := storage.Read(content)
	repository, _, _ := strings.Cut(name, "/manifests/")
	for _, needed := range found.All() {
		status, _, layer := s.Ask("GET", repository+"/blobs/"+needed.String(), nil, "")
		whole = whole && status == 200 && digest.FromBytes(layer) == needed
	}
	return whole
}

// Operations is what the clients did, for Figures.
func (s *Site) Operations() Fields {
	return Fields{
		"pushes": s.Pushes.Load(), "refused": s.Retries.Load(),
		"deletes": s.Deletes.Load(), "undone": s.Undone.Load(),
		"pulls": s.Pulls.Load(), "gaps": s.Gaps.Load(), "checked": s.Checked,
	}
}

// Figures logs figures for whoever reads the log of a test.
func Figures(t *testing.T, parts ...Fields) {
	all := Fields{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	content, _ := json.Marshal(all)
	t.Logf("figures: %s", content)
}
