package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	repository := fmt.Sprintf("team/app%d", number/2) // two clients share one
	for {
		select {
		case <-s.Stopped:
			return
		default:
		}
		tag := fmt.Sprintf("client%d-%d", number, random.IntN(6))
		name := repository + "/manifests/" + tag
		s.turn.RLock()
		s.Mutex.Lock()
		d, ok := s.Pushed[name]
		s.Mutex.Unlock()
		if ok && random.IntN(2) == 0 {
			s.Mutex.Lock()
			delete(s.Pushed, name)
			s.Mutex.Unlock()
			s.Ask("DELETE", repository+"/manifests/"+d.String(), nil, "")
		} else {
			version := random.IntN(3)
			config := fmt.Sprintf(`{"tag":%q,"version":%d}`, tag, version)
			layers := []string{
				fmt.Sprint("layer ", random.IntN(12)), fmt.Sprint("layer ", 12+random.IntN(12)),
			}
			s.Mutex.Lock()
			delete(s.Pushed, name)
			s.Mutex.Unlock()
			if s.Push(repository, tag, config, layers) {
				s.Pushes.Add(1)
			} else {
				s.Retries.Add(1) // tried again some other time
			}
		}
		s.turn.RUnlock()
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

func (s *Site) Begin(clients int) {
	for number := range clients {
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
		status, _, content := s.Ask("GET", name, nil, "")
		whole := status == 200 && digest.FromBytes(content) == d
		found, _ := storage.Read(content)
		repository, _, _ := strings.Cut(name, "/manifests/")
		for _, needed := range found.All() {
			status, _, layer := s.Ask("GET", repository+"/blobs/"+needed.String(), nil, "")
			whole = whole && status == 200 && digest.FromBytes(layer) == needed
		}
		if !whole {
			names = append(names, name)
		}
	}
	return names
}
