package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// alreadyTold is the exit code of a program that has shown its error itself.
const alreadyTold = 32

// graceTime is how long a program may take to end when it is interrupted.
const graceTime = 10 * time.Second

// Run runs the program and says how it ended.
func (h *host) Run(
	ctx context.Context, req *pulumirpc.RunRequest,
) (*pulumirpc.RunResponse, error) {
	// Empty ones must not become `null`, which the SDK doesn't expect.
	config, err := json.Marshal(maps.Collect(maps.All(req.GetConfig())))
	if err != nil {
		return nil, err
	}
	secretKeys, err := json.Marshal(append([]string{}, req.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	command, err := python(ctx, req.GetInfo(), append([]string{h.executor}, h.arguments(req)...)...)
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(environment(command),
		"PULUMI_CONFIG="+string(config),
		"PULUMI_CONFIG_SECRET_KEYS="+string(secretKeys))
	interruptible(command)
	return outcome(command.Run())
}

// arguments are those that the executor takes.
func (h *host) arguments(req *pulumirpc.RunRequest) []string {
	var args []string
	for _, each := range []struct{ name, value string }{
		{"--monitor", req.GetMonitorAddress()},
		{"--engine", h.engine},
		{"--project", req.GetProject()},
		{"--stack", req.GetStack()},
		{"--organization", req.GetOrganization()},
		{"--root_directory", req.GetInfo().GetRootDirectory()},
		{"--pwd", req.GetPwd()},
		{"--tracing", h.tracing},
	} {
		if each.value != "" {
			args = append(args, each.name, each.value)
		}
	}
	if req.GetDryRun() {
		args = append(args, "--dry_run", "true")
	}
	args = append(args, "--parallel", strconv.Itoa(int(req.GetParallel())))
	return append(append(args, entryPoint(req.GetInfo())), req.GetArgs()...)
}

// entryPoint is the program's folder or file.
func entryPoint(info *pulumirpc.ProgramInfo) string {
	return filepath.Join(info.GetProgramDirectory(), info.GetEntryPoint())
}

// outcome turns the end of a program into what the engine is told.
func outcome(err error) (*pulumirpc.RunResponse, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("the program could not be started: %w", err)
	case exit.ExitCode() == alreadyTold:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case exit.ExitCode() > 0:
		text := fmt.Sprintf("Program exited with non-zero exit code: %d", exit.ExitCode())
		return &pulumirpc.RunResponse{Error: text}, nil
	default: // a signal
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program was ended: %v", exit)}, nil
	}
}

// RunPlugin runs a policy pack or a provider that is written in Python, for as long as it is used.
func (h *host) RunPlugin(
	req *pulumirpc.RunPluginRequest, stream pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	ctx := stream.Context()
	chain, err := validChain(ctx, req.GetInfo())
	if err != nil {
		return err
	}
	program := entryPoint(req.GetInfo())
	var command *exec.Cmd
	if req.GetKind() == "analyzer" {
		args := append([]string{}, req.GetArgs()...)
		command, err = chain.ModuleCommand(ctx, "pulumi.policy", append(args, program)...)
	} else {
		command, err = chain.Command(ctx, append([]string{"-u", program}, req.GetArgs()...)...)
	}
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(stream, false)
	if err != nil {
		return err
	}
	defer closer.Close()
	command.Dir = req.GetPwd()
	command.Env = append(environment(command), req.GetEnv()...)
	// The engine reads the plugin's port from its first line: it must not wait in a buffer.
	command.Env = append(command.Env, "PYTHONUNBUFFERED=1")
	command.Stdout, command.Stderr = stdout, stderr
	interruptible(command)
	return pluginOutcome(command.Run(), closer, stream)
}

func pluginOutcome(
	err error, closer io.Closer, stream pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("the plugin could not be started: %w", err)
	}
	if err := closer.Close(); err != nil {
		return err
	}
	if exit == nil {
		return nil
	}
	return stream.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(exit.ExitCode())},
	})
}

// environment is what a command would run with.
func environment(command *exec.Cmd) []string {
	if command.Env != nil {
		return command.Env
	}
	return os.Environ()
}

// interruptible has a cancelled command ended politely, and killed only when it doesn't end.
// Not by SIGINT, which Python answers with a traceback that nobody can do anything about.
func interruptible(command *exec.Cmd) {
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = graceTime
}
