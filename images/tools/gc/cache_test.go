package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"
)

type brokenCache struct{ works int }

func (b *brokenCache) flush(context.Context) error {
	if b.works--; b.works < 0 {
		return errKilled
	}
	return nil
}

func TestARunIsUndoneWhenTheCacheKeepsWhatHasGone(t *testing.T) {
	retryEvery = time.Millisecond
	on(t, func(p *place) {
		loose := p.Layer("app", "loose")
		p.later = 2 * day
		c := collector{
			store: p.Store, cache: &brokenCache{works: 1},
			log: slog.New(slog.NewTextHandler(io.Discard, nil)), opts: options{grace: day},
		}
		if err := c.run(context.Background()); !errors.Is(err, errKilled) {
			t.Error(err)
		}
		p.hasBlob("loose", loose, true)
	})
}
