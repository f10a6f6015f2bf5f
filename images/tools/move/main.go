// Registry-move takes the files of a registry that is in use from one node to another, or to another kind
// of storage.
//
// Where they are it serves them, and is a gate before the registry, which holds back the requests that
// write while the rest is copied. On the other side it copies. Each side has the configuration of its own
// storage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `registry-move takes a registry's files to another storage while it is in use.

  registry-move serve [flags]   hand out the files, and be the gate that requests go through
  registry-move look [flags]    show what a copy would copy and remove
  registry-move copy [flags]    make the files here those of the source
  registry-move rest [flags]    have writes wait at the gate, and copy what has changed
  registry-move end [flags]     copy what the old registry has still finished, and open the gate

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the flags of a command.
type settings struct {
	config, token string
	place         string
	source, files string
	gates         gates
	limit, notice time.Duration
}

// gates are the addresses at which requests come, each with that which they go on to.
type gates map[string]*url.URL

func (g gates) String() string { return "" }

// Set takes one as ADDRESS=URL.
func (g gates) Set(text string) error {
	here, there, _ := strings.Cut(text, "=")
	address, err := url.Parse(there)
	if err == nil && (here == "" || address.Host == "") {
		err = errors.New("it isn't ADDRESS=URL")
	}
	g[here] = address
	return err
}

// command runs one command and returns its exit code: 0, 1 when it failed, 2 for wrong usage.
func command(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	name := arguments[0]
	s := settings{gates: gates{}}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.config, "config", "/etc/distribution/config.yml",
		"configuration `file` of a registry whose storage is that of this side")
	flags.StringVar(&s.place, "place", "",
		"`name` of that storage: nothing is removed from one that isn't known to be the registry's own")
	flags.StringVar(&s.token, "token", "/run/secrets/move-token", "`file` with what both sides know")
	flags.DurationVar(&s.notice, "notice", 10*time.Second,
		"until Traefik has noticed that the gate is there, or goes")
	if name == "serve" {
		flags.StringVar(&s.files, "files", ":5002", "`address` that files are asked for at")
		flags.Var(s.gates, "gate", "`ADDRESS=URL` that requests come to, and go on to; several times")
		flags.DurationVar(&s.limit, "limit", 5*time.Minute, "the longest time that writes wait")
	} else {
		flags.StringVar(&s.source, "source", "", "`address` of the other side")
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return 2
	}
	token, err := os.ReadFile(s.token)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	log := slog.New(slog.NewJSONHandler(stdout, nil))
	s.token = strings.TrimSpace(string(token))
	if name == "serve" {
		err = serveFrom(ctx, s, log)
	} else {
		err = copyTo(ctx, name, s, log)
	}
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	return 0
}

func serveFrom(ctx context.Context, s settings, log *slog.Logger) error {
	from, store, err := openPlace(ctx, s.config)
	if err != nil {
		return err
	}
	serves := &source{place: from, store: store, name: s.place, token: s.token,
		gate: newGate(s.limit, 30*time.Second)}
	locking, unlock := context.WithCancel(ctx)
	released := serves.lock(locking)
	err = serve(ctx, serves, s, log)
	unlock()
	<-released
	return err
}

func copyTo(ctx context.Context, name string, s settings, log *slog.Logger) error {
	into, store, err := openPlace(ctx, s.config)
	if err != nil {
		return err
	}
	c := &copier{place: into, store: store, name: s.place, source: s.source, token: s.token, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: workers},
	}, log: log}
	if err := c.begin(ctx, 90*time.Second); err != nil {
		return err
	}
	var done counts
	var waited pause
	switch name {
	case "look":
		done, err = c.pass(ctx, true)
	case "copy":
		done, err = c.pass(ctx, false)
	case "rest":
		done, waited, err = c.rest(ctx, s.notice)
	case "end":
		done, waited, err = c.end(ctx, s.notice)
	default:
		return fmt.Errorf("%q is no command of registry-move", name)
	}
	if err == nil {
		log.Info("done", "counts", done, "pause", waited)
	}
	return err
}
