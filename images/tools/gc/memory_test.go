package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"registry.local/images/tools/registrytest"
	"registry.local/images/tools/storage"
)

// LARGE=100000 measures that many images, of ten layers.
func TestMemoryGrowsWithTheRegistryAlone(t *testing.T) {
	images := 400
	if text := os.Getenv("LARGE"); text != "" {
		images, _ = strconv.Atoi(text)
	}
	var peaks []uint64
	for _, n := range []int{images / 4, images} {
		store := &storage.Store{StorageDriver: registrytest.NewLarge(n, 10), Now: time.Now}
		c := collector{store: store, cache: noCache{}, log: discard, opts: options{
			grace: day, dryRun: true, untagged: true, rules: []rule{lets("**", 50, day)},
		}}
		began := time.Now()
		peaks = append(peaks, registrytest.Peak(func() {
			if err := c.run(context.Background()); err != nil {
				t.Fatal(err)
			}
		}))
		t.Logf("%d images, %d blobs: %d MiB, %.1f s", n, 11*n, peaks[len(peaks)-1]>>20, time.Since(began).Seconds())
		if c.summary.tagsGone == 0 || c.summary.gone.blobs == 0 {
			t.Errorf("%+v", c.summary)
		}
	}
	if each := peaks[1] / uint64(11*images); each > 2000 {
		t.Errorf("%d bytes for each blob", each)
	}
}
