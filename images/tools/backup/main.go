// Registry-backup copies a registry that is in use to a folder or an object store, blob by blob, checks
// every digest on the way, and brings it back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"registry.local/images/tools/command"
	"registry.local/images/tools/schedule"
)

const usage = `registry-backup copies a registry that is in use, and brings it back.

  registry-backup run TO [flags]                    make a backup
  registry-backup schedule "0 3 * * *" TO [flags]   make backups at these times, until SIGTERM
  registry-backup list TO [flags]                   show how the last run ended, and the generations
  registry-backup verify TO [flags]                 read all of it, and name what is broken
  registry-backup restore FROM [flags]              bring a generation back
  registry-backup file FROM NAME [flags]            print a file that was given with --attach
  registry-backup healthcheck                       fail unless a schedule runs in this container

TO and FROM are a folder, or a file with the key storage, as in the configuration of a registry.

`

const programName = "registry-backup"

func main() { command.Main(program) }

// settings are the flags of a command.
type settings struct {
	options
	archive    string
	config     string
	format     string
	generation string
	overwrite  bool
	remove     bool
}

// arguments is how many arguments a command has in front of its flags.
var arguments = map[string]int{
	"run": 1, "schedule": 2, "list": 1, "verify": 1, "restore": 1, "file": 2, "healthcheck": 0,
}

// flagsOf returns the flags of a command, which fill the settings.
func flagsOf(name string, s *settings) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&s.format, "format", "json", "of the log: json or text")
	writes := name == "run" || name == "schedule"
	if writes || name == "restore" {
		flags.StringVar(&s.config, "config", "/etc/distribution/config.yml", "the registry's `file`")
	}
	if writes || name == "restore" || name == "verify" {
		flags.DurationVar(&s.wait, "wait", time.Hour, "how long to wait for a clean-up, or another run, to end")
	}
	if writes {
		flags.StringVar(&s.name, "name", "", "`name` of the registry: backups of another one are left alone")
		flags.IntVar(&s.keep, "keep", 0, "`number` of generations that stay, 0 for all")
		flags.BoolVar(&s.empty, "empty", false, "also when the registry has lost all that it had")
		s.files = map[string]string{}
		flags.Func("attach", "`NAME=FILE` to keep with the generation", func(text string) error {
			name, file, ok := strings.Cut(text, "=")
			if !ok || name == "" || file == "" {
				return errors.New("write NAME=FILE")
			}
			s.files[name] = file
			return nil
		})
	} else if name != "list" {
		flags.StringVar(&s.generation, "generation", "",
			"`name` of the generation, as list shows it, or last (default last; of verify, all)")
	}
	if name == "restore" {
		flags.BoolVar(&s.overwrite, "overwrite", false, "tags that name something else by now, too")
	}
	if name == "verify" {
		flags.BoolVar(&s.remove, "remove-corrupt", false, "remove what is corrupt: the next run copies it anew")
	}
	return flags
}

// program runs one command and returns its exit code.
func program(ctx context.Context, words []string, stdout, stderr io.Writer) int {
	if len(words) == 0 {
		fmt.Fprint(stderr, usage)
		return command.Usage
	}
	name := words[0]
	if _, ok := arguments[name]; !ok {
		fmt.Fprint(stderr, usage)
		return command.Usage
	}
	positional, words := command.Positional(words[1:], arguments[name])
	var s settings
	flags := flagsOf(name, &s)
	flags.SetOutput(stderr)
	if err := flags.Parse(words); err != nil {
		return command.Usage
	}
	wrong := func(format string, values ...any) int {
		fmt.Fprintf(stderr, "registry-backup %s: "+format+"\n", append([]any{name}, values...)...)
		return command.Usage
	}
	log, err := command.Log(s.format, stdout)
	switch {
	case err != nil:
		return wrong("%v", err)
	case flags.NArg() > 0:
		return wrong("%q is too much", flags.Arg(0))
	case len(positional) < arguments[name]:
		return wrong("an argument is missing; registry-backup shows which")
	case s.keep < 0 || s.wait < 0:
		return wrong("a number is negative")
	}
	if name == "healthcheck" {
		return command.ExitCode(ctx, command.Healthy(programName), log)
	}
	s.archive = positional[0]
	switch name {
	case "run":
		err = once(ctx, s, log)
	case "schedule":
		times, wrongTimes := schedule.Parse(positional[0])
		if wrongTimes != nil {
			return wrong("%v", wrongTimes)
		}
		s.archive = positional[1]
		err = serve(ctx, times, s, log)
	case "list":
		err = list(ctx, s, log)
	case "verify":
		err = check(ctx, s, log)
	case "restore":
		err = restore(ctx, s, log)
	case "file":
		err = printFile(ctx, s, positional[1], stdout)
	}
	return command.ExitCode(ctx, err, log)
}
