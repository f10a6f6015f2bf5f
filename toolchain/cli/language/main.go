// Command pulumi-language-python lets the Pulumi CLI run programs, policy packs and plugins that
// are written in Python.
//
// It stands in for Pulumi's host of the same name, whose module is served by no registry. Virtual
// environments and package managers are the work of Pulumi's own sdk/v3/python/toolchain, and the
// programs run under Pulumi's own pulumi-language-python-exec; what is here is the protocol
// between the two, `LanguageRuntime` in Pulumi's language.proto.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/cmdutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// executor is the script beside this program that a Pulumi program runs under.
const executor = "pulumi-language-python-exec"

// engineSilence is how long the engine may be out of reach before this host ends.
const engineSilence = 5 * time.Minute

func main() {
	tracing := flag.String("tracing", "", "where to send traces, a Zipkin endpoint")
	// Older CLIs hand over the options of Pulumi.yaml as flags; today's are in each request.
	flag.String("root", "", "unused")
	flag.String("virtualenv", "", "unused")
	flag.String("toolchain", "", "unused")
	flag.String("typechecker", "", "unused")
	flag.Parse()
	logging.InitLogging(false, 0, false)
	cmdutil.InitTracing("pulumi-language-python", "pulumi-language-python", *tracing)
	if err := serve(flag.Arg(0), *tracing); err != nil {
		cmdutil.Exit(err)
	}
}

// serve answers the engine at the given address until it is gone or sends an interrupt.
func serve(engine, tracing string) error {
	here, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	// The CLI may have been found through a link; the scripts are beside the program itself.
	if here, err = filepath.EvalSymlinks(here); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	// By an interrupt the CLI ends its plugins. Asking for it takes it also where it is ignored,
	// as in the background of a script: there the CLI would wait 5 s, and then kill this host.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if engine != "" {
		if err := rpcutil.Healthcheck(ctx, engine, engineSilence, cancel); err != nil {
			return fmt.Errorf("watching the engine: %w", err)
		}
	}
	gone := make(chan bool)
	go func() {
		<-ctx.Done()
		close(gone)
	}()
	server, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: gone,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, &host{
				executor: filepath.Join(filepath.Dir(here), executor),
				engine:   engine,
				tracing:  tracing,
			})
			return nil
		},
		Options: rpcutil.OpenTracingServerInterceptorOptions(nil),
	})
	if err != nil {
		return fmt.Errorf("starting to serve: %w", err)
	}
	// How whoever started this learns where it listens.
	fmt.Printf("%d\n", server.Port)
	if err := <-server.Done; err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
