package registrytest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry"

	"registry.local/images/tools/storage"
)

// workers fill a registry at once.
const workers = 8

// Main runs the tests, or what the environment names: the registry, or one of the roles.
func Main(m *testing.M, roles map[string]func()) {
	name := os.Getenv("TEST_ROLE")
	if name == "registry" {
		if registry.RootCmd.Execute() != nil {
			os.Exit(1)
		}
	} else if role, ok := roles[name]; ok {
		if os.Getenv("TEST_LOCKS") == "" { // as fast as the rest of a test
			storage.Settled, storage.Heartbeat = 10*time.Millisecond, 100*time.Millisecond
			storage.Patience = time.Second
		}
		role()
	} else {
		os.Exit(m.Run())
	}
}

// Role returns the test program in another role, as a process of its own.
func Role(role string, words ...string) *exec.Cmd {
	process := exec.Command(os.Args[0], words...)
	process.Env = append(os.Environ(), "TEST_ROLE="+role, "OTEL_TRACES_EXPORTER=none")
	return process
}

// Measure runs a process to its end; it returns its output, CPU in seconds, and MiB at the peak.
func Measure(t *testing.T, process *exec.Cmd) (out []byte, seconds, memory float64) {
	t.Helper()
	out, err := process.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	state := process.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	return out, (state.UserTime() + state.SystemTime()).Seconds(), float64(usage.Maxrss) / 1024
}

// Backend is where a registry under load keeps its content.
type Backend struct {
	Storage string // of config.yml
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

func onDisk(t *testing.T) Backend {
	return Backend{Storage: fmt.Sprintf("filesystem: {rootdirectory: %s}", t.TempDir())}
}

func withRedis(t *testing.T) Backend {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server")
	}
	port := freePort(t)
	begin(t, exec.Command(program, "--port", strconv.Itoa(port), "--save", "", "--bind", "127.0.0.1"), port)
	b := onDisk(t)
	b.Storage += "\n  cache: {blobdescriptor: redis}"
	b.more = fmt.Sprintf("redis: {addrs: ['127.0.0.1:%d']}\n", port)
	return b
}

func onS3(t *testing.T) Backend {
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
	return Backend{Storage: fmt.Sprintf("s3: {region: us-east-1, bucket: images, accesskey: registry, "+
		"secretkey: of-the-test, regionendpoint: 'http://127.0.0.1:%d', forcepathstyle: true, "+
		"secure: false, rootdirectory: /in/a/folder}", port)}
}

// Times returns how often the environment wants something done, and skips the test if it doesn't.
func Times(t *testing.T, name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	if n == 0 {
		t.Skip(name + " is not set")
	}
	return n
}

// Each calls do for each number below n, several at once.
func Each(n int, do func(i int)) {
	var work sync.WaitGroup
	for worker := range workers {
		work.Go(func() {
			for i := worker; i < n; i += workers {
				do(i)
			}
		})
	}
	work.Wait()
}

// Backends are the kinds of storage.
var Backends = map[string]func(*testing.T) Backend{"files": onDisk, "redis": withRedis, "s3": onS3}
