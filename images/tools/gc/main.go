// Registry-gc cleans up the storage of a registry that is in use: what no manifest needs goes to a trash
// in the same storage, what turns out to be needed comes back, and the trash is emptied later.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"registry.local/images/tools/command"
	"registry.local/images/tools/schedule"
	"registry.local/images/tools/storage"
)

const usage = `registry-gc cleans up the storage of a registry that is in use.

  registry-gc run [flags]                    clean up once
  registry-gc schedule "0 4 * * *" [flags]   clean up at these times, until SIGTERM
  registry-gc retention [flags]              put tags aside that rules let go, and nothing else
  registry-gc list [flags]                   show how the last run ended, and the trash by run
  registry-gc undo RUN|last [flags]          bring back what a run put aside
  registry-gc healthcheck                    fail unless a schedule runs in this container

`

const programName = "registry-gc"

func main() { command.Main(program) }

// settings are the flags of a command.
type settings struct {
	options
	config string
	keep   string
	rules  string
	format string
}

// program runs one command and returns its exit code.
func program(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		fmt.Fprint(stderr, usage)
		return command.Usage
	}
	name, arguments := arguments[0], arguments[1:]
	var positional []string
	if name == "schedule" || name == "undo" {
		positional, arguments = command.Positional(arguments, 1)
	}
	argument := strings.Join(positional, "")
	var s settings
	flags := s.flags(name)
	flags.SetOutput(stderr)
	if err := flags.Parse(arguments); err != nil {
		return command.Usage
	}
	wrong := func(format string, values ...any) int {
		fmt.Fprintf(stderr, "registry-gc %s: "+format+"\n", append([]any{name}, values...)...)
		return command.Usage
	}
	log, err := command.Log(s.format, stdout)
	if err != nil {
		return wrong("%v", err)
	}
	switch {
	case flags.NArg() > 0:
		return wrong("%q is too much", flags.Arg(0))
	case s.grace < 0 || s.trash < 0 || s.secondLook < 0:
		return wrong("a time is negative")
	case s.keep != "" && !s.untagged && s.rules == "":
		return wrong("--keep-digests goes with --untagged or --rules only")
	case name == "retention" && s.rules == "":
		return wrong("write --rules and the file that has them")
	}
	switch name {
	case "run", "retention":
		s.tagsOnly = name == "retention"
		err = once(ctx, s, log)
	case "schedule":
		times, wrongTimes := schedule.Parse(argument)
		if wrongTimes != nil {
			return wrong("%v", wrongTimes)
		}
		err = serve(ctx, times, s, log)
	case "healthcheck":
		err = command.Healthy(programName)
	case "list":
		err = list(ctx, s, log)
	case "undo":
		if argument == "" {
			return wrong("write which run, or last; registry-gc list shows them")
		}
		err = undoRun(ctx, s, argument, log)
	default:
		fmt.Fprint(stderr, usage)
		return command.Usage
	}
	return command.ExitCode(ctx, err, log)
}

// flags returns those of the command with that name, which write into s.
func (s *settings) flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&s.config, "config", "/etc/distribution/config.yml", "the registry's `file`")
	flags.StringVar(&s.format, "format", "json", "of the log: json or text")
	if name == "run" || name == "schedule" {
		flags.DurationVar(&s.grace, "grace", 24*time.Hour, "what changed less than this ago stays")
		flags.DurationVar(&s.trash, "trash", 7*24*time.Hour, "how long the trash keeps a run")
		flags.DurationVar(&s.secondLook, "second-look", time.Minute,
			"when to look again for what is needed after all")
		flags.BoolVar(&s.untagged, "untagged", false, "manifests without a tag go too")
	}
	if name == "run" || name == "schedule" || name == "retention" {
		flags.BoolVar(&s.dryRun, "dry-run", false, "show what would go, change nothing")
		flags.StringVar(&s.keep, "keep-digests", "", "`file` of manifests that stay without a tag, "+
			"and whose tags stay, one DIGEST or NAME@DIGEST a line")
		flags.StringVar(&s.rules, "rules", "",
			"`file` of retention's rules, in JSON: tags that they let go, go first")
	}
	return flags
}

// once cleans up once; context.Canceled when a signal ended it before it had done all.
func once(ctx context.Context, s settings, log *slog.Logger) error {
	keep, err := readKeep(s.keep) // read each time: it may have changed
	if err != nil {
		return err
	}
	s.options.keep = keep
	if s.options.rules, err = readRules(s.rules); err != nil {
		return err
	}
	store, cache, err := open(ctx, s.config)
	if err != nil {
		return err
	}
	c := collector{store: store, cache: cache, log: log, opts: s.options}
	if s.dryRun {
		return c.run(ctx)
	}
	held, release, err := lock(ctx, store)
	if err != nil {
		return err
	}
	defer release()
	if err := keepTime(ctx, store, log); err != nil {
		return err
	}
	err = c.run(held)
	if !s.tagsOnly {
		writeReport(ctx, &c, err)
	}
	if err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return context.Canceled
	case c.summary.interrupted:
		return errors.New("another program took the lock: this one ended")
	}
	return nil
}

// serve cleans up at the schedule's times until ctx ends. A run that fails is logged.
func serve(ctx context.Context, times schedule.Schedule, s settings, log *slog.Logger) error {
	store, _, err := open(ctx, s.config)
	if err != nil {
		return err
	}
	if _, err := readRules(s.rules); err != nil {
		return err
	}
	command.Answer(ctx, programName, log)
	last := func(ctx context.Context) any {
		if run, ok, err := readReport(ctx, store); err == nil && ok {
			return run
		}
		return nil
	}
	resumed := func(ctx context.Context) error { return resume(ctx, store, s, log) }
	if err := resumed(ctx); err != nil && ctx.Err() == nil {
		log.Error(err.Error())
	}
	times.Serve(ctx, log, last, func(ctx context.Context) error {
		err := once(ctx, s, log)
		if err != nil {
			retry(ctx, time.Minute, resumed)
		}
		return err
	})
	return nil
}

// list logs how the last run ended, and each run in the trash with its sizes.
func list(ctx context.Context, s settings, log *slog.Logger) error {
	store, _, err := open(ctx, s.config)
	if err != nil {
		return err
	}
	last, ok, err := readReport(ctx, store)
	if err != nil {
		return err
	}
	if ok {
		log.Info("the last run", "last_run", last)
	}
	names, err := runs(ctx, store)
	if err != nil {
		return err
	}
	for _, run := range names {
		var blobs, links int
		var bytes int64
		err := store.Entries(ctx, storage.Trash+"/"+run, "", func(e storage.Stored) {
			if e.Kind == storage.Blob {
				blobs++
				bytes += e.Size
			} else {
				links++
			}
		})
		if err != nil {
			return err
		}
		tags := 0
		err = store.Entries(ctx, storage.Trash+"/"+run+"/"+asideTags, "", func(e storage.Stored) {
			if e.Kind == storage.Current {
				tags++
			}
		})
		if err != nil {
			return err
		}
		log.Info("in the trash", "run", run, "blobs", blobs, "bytes", bytes, "links", links, "tags", tags)
	}
	return nil
}

// lock takes the lock on a registry's storage.
func lock(ctx context.Context, s *storage.Store) (context.Context, func(), error) {
	return storage.Lock(ctx, "a clean-up", storage.RegistryLock(s))
}

// undoRun brings back what a run put aside.
func undoRun(ctx context.Context, s settings, name string, log *slog.Logger) error {
	store, _, err := open(ctx, s.config)
	if err != nil {
		return err
	}
	held, release, err := lock(ctx, store)
	if err != nil {
		return err
	}
	defer release()
	run, err := lastRun(held, store, name)
	if err != nil {
		return err
	}
	back, err := undo(held, store, run)
	log.Info("undone", "run", run, "brought_back", back)
	return err
}
