package main

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/protobuf/types/known/emptypb"
)

// host answers the engine's requests for one project.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	executor string // script that programs run under
	engine   string // address of the engine's RPC server
	tracing  string // Zipkin endpoint, or empty
}

// Handshake takes the engine's address where it didn't come as an argument.
func (h *host) Handshake(
	_ context.Context, req *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	if req.GetEngineAddress() != "" {
		h.engine = req.GetEngineAddress()
	}
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

// GetPluginInfo says which version this is: the one of the SDK that it is built on.
func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: sdkVersion()}, nil
}

// InstallDependencies makes the virtual environment and installs what the project asks for.
func (h *host) InstallDependencies(
	req *pulumirpc.InstallDependenciesRequest,
	stream pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(stream, req.GetIsTerminal())
	if err != nil {
		return err
	}
	defer closer.Close()
	chain, err := chainOf(req.GetInfo())
	if err != nil {
		return err
	}
	directory := req.GetDirectory()
	if program := req.GetInfo().GetProgramDirectory(); program != "" {
		directory = program
	}
	ctx, useTools := stream.Context(), req.GetUseLanguageVersionTools()
	if err := chain.PrepareProject(ctx, "", directory, true, stdout, stderr); err != nil {
		return err
	}
	if err := chain.InstallDependencies(ctx, directory, useTools, true, stdout, stderr); err != nil {
		return fmt.Errorf("installing the Python packages: %w", err)
	}
	return closer.Close()
}

// RuntimeOptionsPrompts asks nothing: the options are in the committed Pulumi.yaml.
func (h *host) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

// About tells which Python runs the program.
func (h *host) About(
	ctx context.Context, req *pulumirpc.AboutRequest,
) (*pulumirpc.AboutResponse, error) {
	chain, err := chainOf(req.GetInfo())
	if err != nil {
		return nil, err
	}
	about, err := chain.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{
		Executable: about.PythonExecutable,
		Version:    about.PythonVersion.String(),
	}, nil
}

// GetProgramDependencies lists the installed packages, for `pulumi about`.
func (h *host) GetProgramDependencies(
	ctx context.Context, req *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	chain, err := chainOf(req.GetInfo())
	if err != nil {
		return nil, err
	}
	packages, err := chain.ListPackages(ctx, req.GetTransitiveDependencies())
	if err != nil {
		return nil, err
	}
	var found []*pulumirpc.DependencyInfo
	for _, each := range packages {
		found = append(found, &pulumirpc.DependencyInfo{Name: each.Name, Version: each.Version})
	}
	return &pulumirpc.GetProgramDependenciesResponse{Dependencies: found}, nil
}

// chainOf is the package manager and virtual environment that the project's options name.
func chainOf(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options, err := parseOptions(
		info.GetRootDirectory(), info.GetProgramDirectory(), info.GetOptions().AsMap())
	if err != nil {
		return nil, err
	}
	return toolchain.ResolveToolchain(options)
}

// validChain is chainOf, with an error that says what to do when there is no such environment.
func validChain(ctx context.Context, info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	chain, err := chainOf(info)
	if err != nil {
		return nil, err
	}
	if err := chain.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	return chain, nil
}

// python is a command that runs Python in the project's environment.
func python(
	ctx context.Context, info *pulumirpc.ProgramInfo, args ...string,
) (*exec.Cmd, error) {
	chain, err := validChain(ctx, info)
	if err != nil {
		return nil, err
	}
	return chain.Command(ctx, args...)
}
