package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// asHost is the variable by which a test has this binary be the host itself.
const asHost = "TEST_AS_LANGUAGE_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(asHost) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestAnInterruptEndsTheHostEvenWhereItIsIgnored(t *testing.T) {
	host := exec.Command("sh", "-c", `trap '' INT; exec "$0"`, os.Args[0])
	host.Env = append(os.Environ(), asHost+"=yes")
	output, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	// It prints its port once it serves.
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = host.Process.Kill() })
	defer kill.Stop()
	if err := host.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := host.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestOptionsAreThoseOfPulumiYaml(t *testing.T) {
	options, err := parseOptions("/root", "/root/program", map[string]any{
		"virtualenv": ".venv", "toolchain": "pip", "typechecker": "mypy",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := toolchain.PythonOptions{
		Root: "/root", ProgramDir: "/root/program", Virtualenv: ".venv",
		Toolchain: toolchain.Pip, Typechecker: toolchain.TypeCheckerMypy,
	}
	if options != want {
		t.Errorf("got %+v, want %+v", options, want)
	}
}

func TestAWrongOptionIsAnError(t *testing.T) {
	for name, value := range map[string]any{"toolchain": "conda", "typechecker": 3} {
		if _, err := parseOptions("", "", map[string]any{name: value}); err == nil {
			t.Errorf("%s: %v was taken", name, value)
		}
	}
}

func TestPackagesWithoutAPluginAreLeftOut(t *testing.T) {
	found := dependencies([]pluginNote{
		{Package: "pulumi_docker", Resource: true, Name: "docker", Version: "5.2.0"},
		{Package: "pulumi_azure_native", Resource: true, Version: "v2.0.0"},
		{Package: "pulumi_policy", Resource: false, Version: "1.0.0"},
		{Package: "pulumi_unversioned", Resource: true},
	})
	if len(found) != 2 || found[0].Name != "docker" || found[0].Version != "v5.2.0" ||
		found[1].Name != "azure-native" || found[1].Version != "v2.0.0" {
		t.Errorf("got %v", found)
	}
}

func TestHowAProgramEndsIsTold(t *testing.T) {
	for code, want := range map[string]*pulumirpc.RunResponse{
		"exit 0":     {},
		"exit 3":     {Error: "Program exited with non-zero exit code: 3"},
		"exit 32":    {Bail: true},
		"kill -9 $$": {Error: "Program was ended: signal: killed"},
	} {
		got, err := outcome(exec.Command("sh", "-c", code).Run())
		if err != nil || got.GetError() != want.GetError() || got.GetBail() != want.GetBail() {
			t.Errorf("%s: got %v, %v; want %v", code, got, err, want)
		}
	}
	if _, err := outcome(errors.New("no such file")); err == nil {
		t.Error("a program that didn't start is no error")
	}
}
