package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
)

// The guard against guessed passwords. It counts checks that failed within a window of time:
//
//   - Of a user from an address: over the limit, the two together are refused.
//   - Of an address, whoever it names: over three times the limit, it is refused.
//   - Of a user, from wherever: over three times the limit, newcomers share one check a second, and suspects.
//
// The last two are no matter for who logged in rightly from the same address lately: neither guesses
// at his name from elsewhere nor a neighbour behind the same proxy lock him out.
//
// Those who wait for a check are of three kinds, which don't wait for each other: who logged in rightly
// from the same address lately; newcomers, whose address has tried a few times at most within the window;
// and suspects, which is what a flood soon is.
//
// Refused means that no password is checked. Checks that run at once are bounded, and those that wait.
// Counters are of this process alone: two tasks allow twice as many.
const (
	// remembered is how many addresses, users and logins the guard knows; older ones are forgotten.
	// A check takes milliseconds, so that fewer are counted in a window than are remembered.
	remembered = 10_000
	// verifiedFor is how long a right password isn't checked again, from the same address.
	verifiedFor = time.Minute
	// familiarFor is how long an address counts as one that a user logs in from.
	familiarFor = 24 * time.Hour
	// wider is the limit of an address and of a user, in limits of the two together.
	wider = 3
	// newcomerTries is how often an address tries within a window, as a newcomer.
	newcomerTries = 5
	// pace is the least time between two checks of a user who is guessed at from many addresses.
	pace = time.Second
	// waiting checks, for each that runs.
	waitingPerCheck = 16
	// waitAtMost is how long a check waits for its turn.
	waitAtMost = 5 * time.Second
)

// Limits of failed logins, of one task.
type Limits struct {
	Failures      int `json:"failures"`
	WindowSeconds int `json:"window_seconds"`
	Checks        int `json:"checks"`
}

// refusal is why no password is checked now, and when to come again.
type refusal struct {
	reason string
	after  time.Duration
}

type guard struct {
	limits Limits
	now    func() time.Time

	mutex    sync.Mutex
	failures *lru.Cache[string, failures]
	verified *lru.Cache[[sha256.Size]byte, time.Time] // Until when.
	familiar *lru.Cache[string, time.Time]            // Until when.

	regulars, newcomers, suspects *gate
}

type failures struct {
	count int
	since time.Time // Begin of the window.
	// When a check of a user over the limit was made last: for newcomers, and for suspects.
	last [2]time.Time
}

func newGuard(limits Limits, now func() time.Time) *guard {
	g := &guard{
		limits: limits, now: now,
		regulars: newGate(1), newcomers: newGate(limits.Checks), suspects: newGate(1),
	}
	// Four counters an attempt.
	g.failures, _ = lru.New[string, failures](4 * remembered)
	g.verified, _ = lru.New[[sha256.Size]byte, time.Time](remembered)
	g.familiar, _ = lru.New[string, time.Time](remembered)
	return g
}

// login says whether a password is right. A refusal is returned where nothing was checked.
func (g *guard) login(
	ctx context.Context, logins logins, user, password string, address netip.Addr,
) (bool, *refusal) {
	source := network(address)
	pair := fmt.Sprintf("%s %s", source, user)
	if after := g.limited("pair "+pair, 1); after > 0 {
		return false, &refusal{"too many failed logins of this user from this address", after}
	}
	mark := logins.mark(source, user, password)
	if holds(g.verified, mark, g.now()) {
		return true, nil
	}
	gate := g.regulars
	if !holds(g.familiar, pair, g.now()) {
		gate = g.newcomers
		if after := g.limited("address "+source, wider); after > 0 {
			return false, &refusal{"too many failed logins from this address", after}
		}
		suspect := 0
		if g.tries(source) > newcomerTries {
			gate, suspect = g.suspects, 1
		}
		if !g.paced("user "+user, suspect) {
			return false, &refusal{"too many failed logins of this user", pace}
		}
	}
	if !gate.enter(ctx) {
		return false, &refusal{"too many logins at once", time.Second}
	}
	defer gate.leave()
	login := logins.check(user, password, g.now())
	g.mutex.Lock()
	defer g.mutex.Unlock()
	now := g.now()
	if login != nil {
		until := now.Add(verifiedFor)
		if login.Until != nil && login.Until.Before(until) {
			until = *login.Until
		}
		g.verified.Add(mark, until)
		g.familiar.Add(pair, now.Add(familiarFor))
		return true, nil
	}
	g.count("pair "+pair, now)
	g.count("address "+source, now)
	if gate != g.regulars {
		g.count("user "+user, now)
	}
	return false, nil
}

func (g *guard) count(key string, now time.Time) {
	counted, _ := g.failures.Get(key)
	if now.Sub(counted.since) >= g.window() {
		counted = failures{since: now}
	}
	counted.count++
	g.failures.Add(key, counted)
}

// tries returns how often an address has tried within the window, this time too.
func (g *guard) tries(source string) int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.count("tries "+source, g.now())
	counted, _ := g.failures.Peek("tries " + source)
	return counted.count
}

// limited returns for how long a counter is over some limits; 0 if it isn't.
func (g *guard) limited(key string, limits int) time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	counted, _ := g.failures.Peek(key)
	left := g.window() - g.now().Sub(counted.since)
	if counted.count < limits*g.limits.Failures || left <= 0 {
		return 0
	}
	return left
}

// paced says whether a check of a user may be made now, for a newcomer (0) or a suspect (1).
func (g *guard) paced(key string, suspect int) bool {
	if g.limited(key, wider) == 0 {
		return true
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	counted, _ := g.failures.Peek(key)
	now := g.now()
	if now.Sub(counted.last[suspect]) < pace {
		return false
	}
	counted.last[suspect] = now
	g.failures.Add(key, counted)
	return true
}

func (g *guard) window() time.Duration {
	return time.Duration(g.limits.WindowSeconds) * time.Second
}

// holds says whether a memory has the key, and for longer than until now.
func holds[K comparable](memory *lru.Cache[K, time.Time], key K, now time.Time) bool {
	until, _ := memory.Get(key)
	return now.Before(until)
}

// network is what counts as one address: an IPv6 host has a whole /64 to itself.
func network(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		return prefix.String()
	}
	return address.String()
}

// gate lets some through at once, some wait, and turns the rest away.
type gate struct{ inside, waiting *semaphore.Weighted }

func newGate(size int) *gate {
	return &gate{
		semaphore.NewWeighted(int64(size)),
		semaphore.NewWeighted(int64(size * (1 + waitingPerCheck))),
	}
}

func (g *gate) enter(ctx context.Context) bool {
	if !g.waiting.TryAcquire(1) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	if g.inside.Acquire(ctx, 1) != nil {
		g.waiting.Release(1)
		return false
	}
	return true
}

func (g *gate) leave() {
	g.inside.Release(1)
	g.waiting.Release(1)
}
