package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"registry.local/images/tools/storage"
)

// fiveTags pushes t1 to t5, t5 first, days apart.
func (p *place) fiveTags() {
	image := p.Image("app", p.Layer("app", "a"))
	for i := 1; i <= 5; i++ {
		p.pushed("app", fmt.Sprint("t", i), image, time.Duration(i)*10*day)
	}
}

func TestWhatIsUndoneIsAsOldAsBefore(t *testing.T) {
	onDated(t, func(p *place) {
		p.fiveTags()
		rules := retain(lets("**", 2, day))
		p.mustCollect(rules)
		p.hasTags("after retention", "app", "t1", "t2")
		if _, err := undo(context.Background(), p.Store, mustLast(p)); err != nil {
			t.Fatal(err)
		}
		p.hasTags("undone", "app", "t1", "t2", "t3", "t4", "t5")
		p.later = 2 * day
		p.mustCollect(retain(lets("**", 4, day)))
		p.hasTags("the oldest goes", "app", "t1", "t2", "t3", "t4")
		p.mustCollect(rules)
		p.hasTags("after retention again", "app", "t1", "t2")
	})
}

func TestARestoredTagIsAsOldAsItsPush(t *testing.T) {
	onDated(t, func(p *place) {
		ctx, image := context.Background(), p.Image("app", p.Layer("app", "a"))
		p.pushed("app", "own", image, 15*day)
		c, tags := storage.NewCopy(p.Store), map[string]storage.Tagged{}
		for i := 1; i <= 5; i++ {
			tags[fmt.Sprint("t", i)] = storage.Tagged{
				Digest: image, Pushed: time.Now().Add(time.Duration(-i) * 10 * day),
			}
		}
		if err := c.Begin(ctx, "app", tags); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 5; i++ { // the oldest is written last
			p.Tag("app", fmt.Sprint("t", i), image)
			c.Made("app", fmt.Sprint("t", i))
		}
		p.later = 2 * day
		rules := retain(lets("**", 3, day))
		if s := p.mustCollect(rules); s.tagsGone != 0 {
			t.Errorf("tags went, of a restore that is under way or was interrupted: %+v", s)
		}
		if err := c.End(ctx); err != nil {
			t.Fatal(err)
		}
		p.mustCollect(rules)
		p.hasTags("those that were pushed last stay", "app", "t1", "own", "t2")
	})
}
