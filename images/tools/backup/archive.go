package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/opencontainers/go-digest"

	"registry.local/images/tools/storage"
)

const (
	nameFormat  = "20060102T150405Z" // of generations
	generations = "/generations"
	lastRun     = "/last.json" // how the last run ended
)

// archive is where the backups of registries are: a file for each generation, and one for each blob,
// named by its digest, which all generations share.
type archive struct{ content }

// openArchive returns the archive in a folder, or the one that a file with the key `storage` describes as
// the configuration of a registry does.
func openArchive(ctx context.Context, at string) (*archive, error) {
	info, err := os.Stat(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such folder: make it, or mount it", at)
	}
	if err != nil {
		return nil, err
	}
	section := configuration.Storage{}
	if info.IsDir() {
		folder, err := filepath.Abs(at)
		if err != nil {
			return nil, err
		}
		section["filesystem"] = configuration.Parameters{"rootdirectory": folder}
	} else if section, err = readSection(at); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	store, err := storage.Create(ctx, section)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return archiveIn(store), nil
}

func archiveIn(s *storage.Store) *archive {
	return &archive{content{s, archivedBlob, "/blobs", "/partial"}}
}

// lock returns the lock of whoever writes.
func (a *archive) lock() storage.LockFile {
	return storage.LockFile{Store: a.Store, Path: "/lock.json"}
}

// readSection returns the key `storage` of a file. Variables of the environment override it, as those of a
// registry do, with BACKUP_ for REGISTRY_: the two are apart.
func readSection(file string) (configuration.Storage, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	type document struct {
		Version configuration.Version `yaml:"version"`
		Storage configuration.Storage `yaml:"storage"`
	}
	parser := configuration.NewParser("backup", []configuration.VersionedParseInfo{{
		Version:        configuration.MajorMinorVersion(0, 1),
		ParseAs:        reflect.TypeFor[document](),
		ConversionFunc: func(parsed any) (any, error) { return parsed, nil },
	}})
	var d document
	if err := parser.Parse(content, &d); err != nil {
		return nil, err
	}
	if d.Storage.Type() == "" {
		return nil, errors.New("the key storage is missing")
	}
	return d.Storage, nil
}

// names returns the generations that are there, the oldest first.
func (a *archive) names(ctx context.Context) ([]string, error) {
	files, err := a.List(ctx, generations)
	if err != nil && !storage.Missing(err) {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name, isGeneration := strings.CutSuffix(path.Base(file), ".json")
		if _, err := time.Parse(nameFormat, name); err == nil && isGeneration {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// name returns the full name of a generation: "" and "last" are the newest.
func (a *archive) name(ctx context.Context, wanted string) (string, error) {
	names, err := a.names(ctx)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", errors.New("there is no backup")
	case wanted == "" || wanted == "last":
		return names[len(names)-1], nil
	case !slices.Contains(names, wanted):
		return "", fmt.Errorf("there is no generation %s: there are %s", wanted, strings.Join(names, ", "))
	}
	return wanted, nil
}

// archivedBlob returns the path of a blob in an archive.
func archivedBlob(d digest.Digest) string {
	return path.Join("/blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

func generationFile(name string) string { return generations + "/" + name + ".json" }

// load returns a generation.
func (a *archive) load(ctx context.Context, name string) (*generation, error) {
	content, err := a.GetContent(ctx, generationFile(name))
	if err != nil {
		return nil, fmt.Errorf("generation %s: %w", name, err)
	}
	g, err := decode(content)
	if err != nil {
		return nil, fmt.Errorf("generation %s is broken: %w", name, err)
	}
	return g, nil
}

// visit calls job for some generations, one after the other, since not all may fit into the memory. It
// returns what is wrong with those that can't be read. One that a run has removed meanwhile is left out.
func (a *archive) visit(
	ctx context.Context, names []string, job func(string, *generation),
) (wrong []error, err error) {
	for _, name := range names {
		g, err := a.load(ctx, name)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case storage.Missing(err):
		case err != nil:
			wrong = append(wrong, err)
		default:
			job(name, g)
		}
	}
	return wrong, nil
}

// last returns how the last run ended, nil when there was none.
func (a *archive) last(ctx context.Context) (*report, error) {
	content, err := a.GetContent(ctx, lastRun)
	if storage.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &report{}
	if json.Unmarshal(content, r) != nil {
		return nil, nil
	}
	return r, nil
}

func (a *archive) save(ctx context.Context, name string, g *generation) error {
	content, err := g.encode()
	if err != nil {
		return err
	}
	return a.PutContent(ctx, generationFile(name), content)
}
