package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/opencontainers/go-digest"
	"github.com/redis/go-redis/v9"

	"registry.local/images/tools/storage"
)

// open returns the storage and the descriptor cache of the registry that has this configuration.
func open(ctx context.Context, file string) (*storage.Store, cache, error) {
	store, config, err := storage.Open(ctx, file)
	if err != nil {
		return nil, nil, err
	}
	cache, err := newCache(config)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return store, cache, nil
}

// cache is where the registry remembers which blobs there are.
type cache interface {
	flush(ctx context.Context) error
}

type noCache struct{}

func (noCache) flush(context.Context) error { return nil }

// newCache returns the registry's cache; an error for a registry that can't be cleaned up in use.
func newCache(config *configuration.Configuration) (cache, error) {
	if config.Proxy.RemoteURL != "" {
		return nil, errors.New("proxy.remoteurl: this is a mirror, which removes old content by itself")
	}
	parameters := config.Storage["cache"]
	kind, ok := parameters["blobdescriptor"]
	if !ok {
		kind = parameters["layerinfo"]
	}
	switch kind {
	case "inmemory":
		return nil, errors.New("storage.cache.blobdescriptor is inmemory: the registry would take what " +
			"has been cleaned up for present, and a push that it confirms would lack it. Leave " +
			"storage.cache out, or use redis, and start the registry anew")
	case "redis":
		return newRedis(config.Redis)
	default:
		return noCache{}, nil
	}
}

type redisCache struct{ client redis.UniversalClient }

func newRedis(config configuration.Redis) (cache, error) {
	if len(config.Options.Addrs) == 0 {
		return nil, errors.New("redis.addrs is missing, and storage.cache.blobdescriptor is redis")
	}
	o := config.Options
	options := redis.UniversalOptions{
		Addrs: o.Addrs, ClientName: o.ClientName, DB: o.DB, Protocol: o.Protocol,
		Username: o.Username, Password: o.Password,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		MasterName: o.MasterName, DialTimeout: o.DialTimeout,
		ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
	}
	if t := config.TLS; t.Certificate != "" || t.Key != "" || len(t.RootCAs) > 0 {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if t.Certificate != "" && t.Key != "" {
			pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
			if err != nil {
				return nil, fmt.Errorf("redis.tls: %w", err)
			}
			options.TLSConfig.Certificates = []tls.Certificate{pair}
		}
		if len(t.RootCAs) > 0 {
			options.TLSConfig.RootCAs = x509.NewCertPool()
		}
		for _, file := range t.RootCAs {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("redis.tls.rootcas: %w", err)
			}
			options.TLSConfig.RootCAs.AppendCertsFromPEM(content)
		}
	}
	return redisCache{redis.NewUniversalClient(&options)}, nil
}

// flush deletes what the registry's cache has, on every node of a cluster.
func (c redisCache) flush(ctx context.Context) error {
	each := func(ctx context.Context, client redis.Cmdable) error {
		for _, pattern := range []string{"blobs::*", "repository::*"} {
			keys := client.Scan(ctx, 0, pattern, 1000).Iterator()
			for keys.Next(ctx) {
				if err := client.Del(ctx, keys.Val()).Err(); err != nil {
					return err
				}
			}
			if err := keys.Err(); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return each(ctx, node)
		})
	} else {
		err = each(ctx, c.client)
	}
	if err != nil {
		return fmt.Errorf("redis, the registry's cache, can't be flushed: %w", err)
	}
	return nil
}

// readKeep returns the digests that a file lists, one a line: DIGEST or NAME@DIGEST. Empty lines and
// those that begin with # count for nothing.
func readKeep(file string) (storage.Digests, error) {
	keep := storage.Digests{}
	if file == "" {
		return keep, nil
	}
	content, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	lines := bufio.NewScanner(content)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		d, err := digest.Parse(line[strings.LastIndex(line, "@")+1:])
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %q is no digest: write sha256:…", file, number, line)
		}
		keep.Add(d)
	}
	return keep, lines.Err()
}
