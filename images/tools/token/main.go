// Command registry-token is the token server of a registry: it checks a login, and signs what that
// user may do for some minutes. The registry and its clients know the protocol (distribution.github.io,
// "Token authentication"). It keeps no state: key, users and rules are files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

const (
	usage = `usage: registry-token [serve | check | healthcheck] [-folder FOLDER]
  serve        answer at /auth/token (the default)
  check        say what is wrong with the files, and end
  healthcheck  end with 0 if the server of this folder answers
`
	defaultFolder = "/etc/registry-token"
	// lookEvery is how often files are looked at for a change.
	lookEvery = time.Second
	// maxConnections, of Traefik and health checks.
	maxConnections = 4096
	healthTimeout  = 3 * time.Second
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		command, arguments = arguments[0], arguments[1:]
	}
	flags := flag.NewFlagSet("registry-token", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	folder := flags.String("folder", defaultFolder, "")
	commands := map[string]func(string, io.Writer) error{
		"serve": serve, "check": check, "healthcheck": healthcheck,
	}
	do, known := commands[command]
	if flags.Parse(arguments) != nil || flags.NArg() > 0 || !known {
		flags.Usage()
		return 2
	}
	if err := do(*folder, stdout); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(stderr, "registry-token:", strings.TrimSuffix(line, "\n"))
		}
		return 1
	}
	return 0
}

func check(folder string, _ io.Writer) error {
	_, err := load(folder)
	return err
}

func serve(folder string, stdout io.Writer) error {
	hasChanged := changed(folder)
	settings, err := load(folder)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.config.Listen)
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	log := newLog(stdout)
	server := newServer(settings, log, time.Now)
	go reload(stop, folder, hasChanged, server, log)
	ending, end := context.WithCancel(context.Background())
	defer end()
	server.watch(ending)
	log.Info("started", "address", listener.Addr().String(), "key", settings.signer.keyID,
		"users", len(settings.logins.of), "rules", len(settings.config.Access))
	defer log.Info("stopped")
	limited := netutil.LimitListener(listener, maxConnections)
	serveOn := time.Duration(settings.config.DiscoverySeconds) * time.Second
	drain := time.Duration(settings.config.DrainSeconds) * time.Second
	return listen(stop, serveOn, drain, limited, server.handler(), log)
}

// listen serves until `stop` is done and for a while longer, and then lets end what has begun.
func listen(
	stop context.Context, serveOn, drain time.Duration,
	listener net.Listener, handler http.Handler, log *slog.Logger,
) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	// A connection for each request. On one that it has kept, Traefik would go on sending requests to
	// a node that has lost its power, and wait; it tries another task only where it can't connect.
	server.SetKeepAlivesEnabled(false)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-stop.Done():
	}
	log.Info("stopping", "seconds", int(serveOn.Seconds()))
	time.Sleep(serveOn)
	within, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return server.Shutdown(within)
}

// reload goes on with changed files, if they are right, until `stop` is done.
func reload(
	stop context.Context, folder string, hasChanged func() bool, server *server, log *slog.Logger,
) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop.Done():
			return
		case <-ticker.C:
		}
		if !hasChanged() {
			continue
		}
		settings, err := load(folder)
		if err != nil {
			log.Error("not reloaded", "reason", err.Error())
			continue
		}
		server.use(settings)
		log.Info("reloaded", "key", settings.signer.keyID,
			"users", len(settings.logins.of), "rules", len(settings.config.Access))
	}
}

// healthcheck asks the server that serves the folder.
func healthcheck(folder string, _ io.Writer) error {
	content, err := readFile(filepath.Join(folder, configFile))
	if err != nil {
		return err
	}
	config := defaults()
	if wrong := decode(content, &config); wrong != nil {
		return errors.New(configFile + ": " + wrong[0])
	}
	host, port, err := net.SplitHostPort(config.Listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	client := http.Client{Timeout: healthTimeout}
	answer, err := client.Get("http://" + net.JoinHostPort(host, port) + healthPath)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", answer.Status)
	}
	return nil
}

// newLog writes a JSON object a line: time, event, and what belongs to it.
func newLog(out io.Writer) *slog.Logger {
	rename := func(groups []string, attribute slog.Attr) slog.Attr {
		switch attribute.Key {
		case slog.MessageKey:
			attribute.Key = "event"
		case slog.LevelKey:
			if attribute.Value.Any() == slog.LevelInfo {
				return slog.Attr{}
			}
		}
		return attribute
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{ReplaceAttr: rename}))
}
