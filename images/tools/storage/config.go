package storage

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/azure"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/gcs"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
)

// Open returns the storage of the registry that a file configures, and that configuration.
func Open(ctx context.Context, file string) (*Store, *configuration.Configuration, error) {
	content, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer content.Close()
	config, err := configuration.Parse(content)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	store, err := Create(ctx, config.Storage)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return store, config, nil
}

// Create returns the storage that a section of a registry's configuration describes.
func Create(ctx context.Context, section configuration.Storage) (*Store, error) {
	driver, err := factory.Create(ctx, section.Type(), section.Parameters())
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return &Store{driver, time.Now}, nil
}
