package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

const sdkModule = "github.com/pulumi/pulumi/sdk/v3"

// parseOptions reads `runtime.options` of a Pulumi.yaml; an error names the option that is wrong.
func parseOptions(root, program string, options map[string]any) (toolchain.PythonOptions, error) {
	parsed := toolchain.PythonOptions{Root: root, ProgramDir: program}
	for _, option := range []struct {
		name string
		take func(value string) bool
	}{
		{"virtualenv", func(value string) bool {
			parsed.Virtualenv = value
			return true
		}},
		{"toolchain", func(value string) bool {
			switch strings.ToLower(value) {
			case "", "auto":
				parsed.Toolchain = toolchain.Auto
			case "pip":
				parsed.Toolchain = toolchain.Pip
			case "poetry":
				parsed.Toolchain = toolchain.Poetry
			case "uv":
				parsed.Toolchain = toolchain.Uv
			default:
				return false
			}
			return true
		}},
		{"typechecker", func(value string) bool {
			switch strings.ToLower(value) {
			case "", "none":
				parsed.Typechecker = toolchain.TypeCheckerNone
			case "mypy":
				parsed.Typechecker = toolchain.TypeCheckerMypy
			case "pyright":
				parsed.Typechecker = toolchain.TypeCheckerPyright
			default:
				return false
			}
			return true
		}},
	} {
		value, given := options[option.name]
		if !given {
			continue
		}
		text, isText := value.(string)
		if !isText || !option.take(text) {
			return parsed, fmt.Errorf("Pulumi.yaml: runtime option %s can't be %v", option.name, value)
		}
	}
	return parsed, nil
}

// sdkVersion is the version of Pulumi's SDK that this program was linked with.
func sdkVersion() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, module := range info.Deps {
			if module.Path == sdkModule {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "0.0.0"
}
