// Reads configurations of the registry as JSON, one a line, and starts a registry with each, within
// this process and without listening. Prints for each a line: nothing, or why it doesn't start.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

func start(document string) (problem any) {
	defer func() {
		if cause := recover(); cause != nil {
			problem = cause
		}
	}()
	config, err := configuration.Parse(strings.NewReader(document))
	if err != nil {
		return err
	}
	// Each registry registers its metrics, once in a process.
	prometheus.DefaultRegisterer = prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	handlers.NewApp(ctx, config)
	return ""
}

func main() {
	logrus.SetOutput(io.Discard)
	answers := os.Stdout
	os.Stdout = os.Stderr // For a driver that writes warnings there.
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(answers, strings.ReplaceAll(fmt.Sprint(start(lines.Text())), "\n", " "))
	}
}
