package main

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// TestMain is the program itself, where a test starts it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("REGISTRY_TOKEN_TEST") != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the program, started with arguments.
type process struct {
	command *exec.Cmd
	mutex   sync.Mutex
	text    bytes.Buffer
}

func start(t *testing.T, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(os.Args[0], arguments...)}
	p.command.Env = append(os.Environ(), "REGISTRY_TOKEN_TEST=1")
	p.command.Stdout, p.command.Stderr = p, p
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	return p
}

func (p *process) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.Write(text)
}

func (p *process) output() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.text.String()
}

func (p *process) signal() { _ = p.command.Process.Signal(syscall.SIGTERM) }

// stop ends the process as Swarm does, and returns its exit code.
func (p *process) stop() int {
	p.signal()
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode()
}
