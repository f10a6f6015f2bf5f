package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry"
	"github.com/opencontainers/go-digest"
)

// The test program is the registry and the clean-up as well, so that both are processes of their own.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_ROLE") {
	case "registry":
		if registry.RootCmd.Execute() != nil {
			os.Exit(1)
		}
	case "gc":
		settled, heartbeat, patience = 10*time.Millisecond, 100*time.Millisecond, time.Second
		main()
	default:
		os.Exit(m.Run())
	}
}

func role(role string, words ...string) *exec.Cmd {
	process := exec.Command(os.Args[0], words...)
	process.Env = append(os.Environ(), "TEST_ROLE="+role, "OTEL_TRACES_EXPORTER=none")
	return process
}

// backend is where a registry under load keeps its content.
type backend struct {
	storage string // of config.yml
	more    string // of config.yml
}

func freePort(t *testing.T) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// begin starts a process that ends with the test, and waits until its port is open.
func begin(t *testing.T, process *exec.Cmd, port int) {
	var out bytes.Buffer
	process.Stdout, process.Stderr = &out, &out
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	for range 600 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s doesn't begin: %s", process, out.String())
}

func onDisk(t *testing.T) backend {
	return backend{storage: fmt.Sprintf("filesystem: {rootdirectory: %s}", t.TempDir())}
}

func withRedis(t *testing.T) backend {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	port := freePort(t)
	begin(t, exec.Command(program, "--port", strconv.Itoa(port), "--save", "", "--bind", "127.0.0.1"), port)
	b := onDisk(t)
	b.storage += "\n  cache: {blobdescriptor: redis}"
	b.more = fmt.Sprintf("redis: {addrs: ['127.0.0.1:%d']}\n", port)
	return b
}

func onS3(t *testing.T) backend {
	program := os.Getenv("VERSITYGW")
	if program == "" {
		t.Skip("no VERSITYGW")
	}
	port, folder := freePort(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "images"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "--port", fmt.Sprintf("127.0.0.1:%d", port), "--quiet", "posix", folder)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY=registry", "ROOT_SECRET_KEY=of-the-test")
	begin(t, server, port)
	return backend{storage: fmt.Sprintf("s3: {region: us-east-1, bucket: images, accesskey: registry, "+
		"secretkey: of-the-test, regionendpoint: 'http://127.0.0.1:%d', forcepathstyle: true, "+
		"secure: false, rootdirectory: /in/a/folder}", port)}
}

// times returns how often the environment wants something done, and skips the test if it doesn't.
func times(t *testing.T, name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	if n == 0 {
		t.Skip(name + " is not set")
	}
	return n
}

// site is a registry, and clients that use it without a pause.
type site struct {
	t      *testing.T
	config string
	url    string

	turn    sync.RWMutex // held for writing while all tags are pulled
	mutex   sync.Mutex
	pushed  map[string]digest.Digest // by REPOSITORY/manifests/TAG: what a client believes to be there
	stopped chan struct{}
	clients sync.WaitGroup
	pushes  atomic.Int64
	retries atomic.Int64
}

func newSite(t *testing.T, b backend) *site {
	port := freePort(t)
	s := &site{t: t, url: fmt.Sprintf("http://127.0.0.1:%d/v2/", port)}
	s.pushed, s.stopped = map[string]digest.Digest{}, make(chan struct{})
	s.config = write(t, fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage:\n  delete: {enabled: true}\n  %s\nhttp: {addr: '127.0.0.1:%d'}\n%s",
		b.storage, port, b.more))
	begin(t, role("registry", "serve", s.config), port)
	return s
}

var client = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 32},
}

// ask sends a request and returns the answer's status, headers and body.
func (s *site) ask(method, path string, body []byte, kind string) (int, http.Header, []byte) {
	if !strings.HasPrefix(path, "http") {
		path = s.url + path
	}
	request, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		s.t.Error(err)
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
func (s *site) pushBlob(repository, content string) bool {
	d := digest.FromString(content)
	if status, _, _ := s.ask("HEAD", repository+"/blobs/"+d.String(), nil, ""); status == 200 {
		return true
	}
	status, header, _ := s.ask("POST", repository+"/blobs/uploads/", nil, "")
	if status != 202 {
		return false
	}
	to := header.Get("Location") + "&digest=" + d.String()
	status, _, _ = s.ask("PUT", to, []byte(content), "application/octet-stream")
	return status == 201
}

// push pushes an image of some layers, and returns whether the registry has confirmed it.
func (s *site) push(repository, tag, config string, layers []string) bool {
	describe := func(content, kind string) fields {
		return fields{"mediaType": kind, "digest": digest.FromString(content), "size": len(content)}
	}
	document := fields{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": describe(config, "application/vnd.oci.image.config.v1+json"),
	}
	var all []fields
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
	if status, _, _ := s.ask("PUT", name, content, manifestType); status != 201 {
		return false
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.pushed[name] = digest.FromBytes(content)
	return true
}

// work pushes, pulls, deletes and pushes again, few images and layers so that they meet again, until
// the site stops.
func (s *site) work(number int) {
	defer s.clients.Done()
	random := rand.New(rand.NewPCG(uint64(number), 1))
	repository := fmt.Sprintf("team/app%d", number/2) // two clients share one
	for {
		select {
		case <-s.stopped:
			return
		default:
		}
		tag := fmt.Sprintf("client%d-%d", number, random.IntN(6))
		name := repository + "/manifests/" + tag
		s.turn.RLock()
		s.mutex.Lock()
		d, ok := s.pushed[name]
		s.mutex.Unlock()
		if ok && random.IntN(2) == 0 {
			s.mutex.Lock()
			delete(s.pushed, name)
			s.mutex.Unlock()
			s.ask("DELETE", repository+"/manifests/"+d.String(), nil, "")
		} else {
			version := random.IntN(3)
			config := fmt.Sprintf(`{"tag":%q,"version":%d}`, tag, version)
			layers := []string{
				fmt.Sprint("layer ", random.IntN(12)), fmt.Sprint("layer ", 12+random.IntN(12)),
			}
			s.mutex.Lock()
			delete(s.pushed, name)
			s.mutex.Unlock()
			if s.push(repository, tag, config, layers) {
				s.pushes.Add(1)
			} else {
				s.retries.Add(1) // tried again some other time
			}
		}
		s.turn.RUnlock()
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

func (s *site) begin(clients int) {
	for number := range clients {
		s.clients.Add(1)
		go s.work(number)
	}
}

func (s *site) end() {
	close(s.stopped)
	s.clients.Wait()
}

// broken returns the tags that can't be pulled as they were pushed, while all clients wait.
func (s *site) broken() (names []string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for name, d := range s.pushed {
		status, _, content := s.ask("GET", name, nil, "")
		whole := status == 200 && digest.FromBytes(content) == d
		found, _ := read(content)
		repository, _, _ := strings.Cut(name, "/manifests/")
		for _, needed := range found.needs {
			status, _, layer := s.ask("GET", repository+"/blobs/"+needed.String(), nil, "")
			whole = whole && status == 200 && digest.FromBytes(layer) == needed
		}
		if !whole {
			names = append(names, name)
		}
	}
	return names
}

func (s *site) collect(words ...string) *exec.Cmd {
	words = append([]string{
		"run", "--config", s.config, "--grace", "1s", "--trash", "3s", "--second-look", "300ms",
	}, words...)
	return role("gc", words...)
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

var backends = map[string]func(*testing.T) backend{"files": onDisk, "redis": withRedis, "s3": onS3}

// GC_RUNS is how often the clean-up runs.
func TestUnderLoadEveryTagStaysWhole(t *testing.T) {
	runs := times(t, "GC_RUNS")
	for name, make := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, make(t))
			s.begin(8)
			time.Sleep(2 * time.Second)
			sums := map[string]float64{}
			for run := range runs {
				process := s.collect()
				if run%2 == 1 {
					process = s.collect("--untagged")
				}
				out, err := process.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				total(out, sums)
				if broken := s.broken(); broken != nil {
					t.Fatalf("after run %d, broken: %v\n%s", run, broken, out)
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.end()
			if broken := s.broken(); broken != nil {
				t.Errorf("broken: %v", broken)
			}
			t.Logf("%d tags, %d pushes, %d tried again, %v",
				len(s.pushed), s.pushes.Load(), s.retries.Load(), sums)
			if sums["blobs_aside"] == 0 || s.pushes.Load() == 0 {
				t.Error("nothing was put to the test")
			}
		})
	}
}

// GC_KILLS is how often it is killed.
func TestKilledUnderLoadNothingIsLost(t *testing.T) {
	kills := times(t, "GC_KILLS")
	for name, make := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, make(t))
			s.begin(4)
			time.Sleep(2 * time.Second)
			for range kills {
				process := s.collect()
				if err := process.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(50+rand.IntN(1200)) * time.Millisecond)
				_ = process.Process.Kill()
				_ = process.Wait()
			}
			out, err := s.collect().CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			s.end()
			if broken := s.broken(); broken != nil {
				t.Errorf("broken: %v\n%s", broken, out)
			}
			t.Logf("%d tags, %d pushes, %d tried again", len(s.pushed), s.pushes.Load(), s.retries.Load())
		})
	}
}

// The registry's own garbage-collect under the same load: GC_STOCK is how often it runs.
func TestUnderLoadTheStockToolBreaksTags(t *testing.T) {
	runs := times(t, "GC_STOCK")
	for name, make := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, make(t))
			s.begin(8)
			time.Sleep(2 * time.Second)
			failed := 0
			for range runs {
				if role("registry", "garbage-collect", s.config).Run() != nil {
					failed++
				}
				time.Sleep(200 * time.Millisecond)
			}
			s.end()
			t.Logf("%d of %d tags broken, %d runs of %d failed",
				len(s.broken()), len(s.pushed), failed, runs)
		})
	}
}

// Time and memory of a run over many tags: GC_TAGS is how many.
func TestManyTags(t *testing.T) {
	tags := times(t, "GC_TAGS")
	for name, make := range backends {
		if name == "redis" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			file := write(t, "version: 0.1\nstorage:\n  "+make(t).storage+"\n")
			opened, _, err := open(context.Background(), file)
			if err != nil {
				t.Fatal(err)
			}
			p := &place{T: t, store: opened}
			var work sync.WaitGroup
			for worker := range workers {
				work.Go(func() {
					for i := worker; i < tags; i += workers {
						d := p.image("app", p.layer("app", fmt.Sprint("shared ", i%50)),
							p.layer("app", fmt.Sprint("a ", i)), p.layer("app", fmt.Sprint("b ", i)))
						if i%10 != 0 {
							p.tag("app", fmt.Sprint("v", i), d)
						}
					}
				})
			}
			work.Wait()
			for _, words := range [][]string{{}, {"--untagged"}} {
				process := role("gc", append([]string{
					"run", "--config", file, "--grace", "0s", "--second-look", "0s",
				}, words...)...)
				out, err := process.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				sums := map[string]float64{}
				total(out, sums)
				usage := process.ProcessState.SysUsage().(*syscall.Rusage)
				t.Logf("%d tags, %v: %.2f s of CPU, %d MiB, %v", tags, words,
					(process.ProcessState.UserTime() + process.ProcessState.SystemTime()).Seconds(),
					usage.Maxrss/1024, sums)
			}
		})
	}
}
