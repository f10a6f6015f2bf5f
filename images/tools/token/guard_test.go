package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct {
	mutex sync.Mutex
	time  time.Time
}

func newClock() *clock {
	return &clock{time: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.time
}

func (c *clock) pass(duration time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.time = c.time.Add(duration)
}

// door is a guard with users "ci" and "dev", whose passwords are their names.
type door struct {
	*clock
	guard  *guard
	logins logins
}

func newDoor(t testing.TB, failures int) *door {
	t.Helper()
	clock := newClock()
	logins := newLogins([]Login{{User: "ci", Hash: cheap(t, "ci")}, {User: "dev", Hash: cheap(t, "dev")}})
	logins.rounds = 1 << minCost
	limits := Limits{Failures: failures, WindowSeconds: 60, Checks: 2}
	return &door{clock, newGuard(limits, clock.now), logins}
}

// login returns "right", "wrong", or why nothing was checked.
func (d *door) login(user, password, address string) string {
	right, refused := d.guard.login(
		context.Background(), d.logins, user, password, netip.MustParseAddr(address))
	switch {
	case refused != nil:
		return refused.reason
	case right:
		return "right"
	}
	return "wrong"
}

const (
	pairLimited    = "too many failed logins of this user from this address"
	addressLimited = "too many failed logins from this address"
	userLimited    = "too many failed logins of this user"
	tooManyAtOnce  = "too many logins at once"
)

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s, not %s", got, want)
	}
}

func TestAUserWhoFailsTooOftenFromAnAddressIsRefusedForTheWindow(t *testing.T) {
	d := newDoor(t, 3)
	for range 3 {
		expect(t, d.login("ci", "x", "192.0.2.1"), "wrong")
	}
	expect(t, d.login("ci", "x", "192.0.2.1"), pairLimited)
	expect(t, d.login("ci", "ci", "192.0.2.1"), pairLimited)
	expect(t, d.login("dev", "dev", "192.0.2.1"), "right")
	expect(t, d.login("ci", "ci", "192.0.2.2"), "right")
	d.pass(59 * time.Second)
	expect(t, d.login("ci", "ci", "192.0.2.1"), pairLimited)
	d.pass(2 * time.Second)
	expect(t, d.login("ci", "ci", "192.0.2.1"), "right")
}

func TestARefusalSaysWhenToComeAgain(t *testing.T) {
	d := newDoor(t, 1)
	d.login("ci", "x", "192.0.2.1")
	d.pass(20 * time.Second)
	_, refused := d.guard.login(
		context.Background(), d.logins, "ci", "ci", netip.MustParseAddr("192.0.2.1"))
	if refused == nil || refused.after != 40*time.Second {
		t.Errorf("%+v", refused)
	}
}

func TestAnAddressThatTriesManyUsersIsRefusedButNotWhoLogsInFromThere(t *testing.T) {
	d := newDoor(t, 2)
	expect(t, d.login("dev", "dev", "192.0.2.1"), "right")
	for number := range 2 * wider {
		expect(t, d.login(fmt.Sprintf("user%d", number), "x", "192.0.2.1"), "wrong")
	}
	expect(t, d.login("user", "x", "192.0.2.1"), addressLimited)
	expect(t, d.login("ci", "ci", "192.0.2.1"), addressLimited)
	expect(t, d.login("dev", "dev", "192.0.2.1"), "right")
	d.pass(30 * time.Second) // The password is checked again after a minute, and the user known longer.
	expect(t, d.login("dev", "dev", "192.0.2.1"), "right")
	expect(t, d.login("ci", "ci", "192.0.2.2"), "right")
}

func TestAUserWhoIsGuessedAtFromManyAddressesIsPacedAndNeverLockedOut(t *testing.T) {
	d := newDoor(t, 1)
	expect(t, d.login("ci", "ci", "198.51.100.1"), "right")
	for number := range wider {
		expect(t, d.login("ci", "x", fmt.Sprintf("192.0.2.%d", number)), "wrong")
	}
	expect(t, d.login("ci", "x", "192.0.2.100"), "wrong") // The one of this second.
	expect(t, d.login("ci", "x", "192.0.2.101"), userLimited)
	expect(t, d.login("ci", "ci", "192.0.2.101"), userLimited)
	expect(t, d.login("dev", "dev", "192.0.2.101"), "right")
	d.pass(pace)
	expect(t, d.login("ci", "ci", "192.0.2.101"), "right")
	// Where he logged in lately, wherever others guess, and after the memory of passwords too.
	d.pass(verifiedFor - pace)
	for number := range wider + 1 {
		d.login("ci", "x", fmt.Sprintf("203.0.113.%d", number))
	}
	expect(t, d.login("ci", "ci", "203.0.113.200"), userLimited)
	expect(t, d.login("ci", "ci", "198.51.100.1"), "right")
}

func TestAnAddressThatTriesRarelyDoesNotWaitForThoseThatTryOften(t *testing.T) {
	d := newDoor(t, 10)
	flood := func(user string, address int) string {
		return d.login(user, "x", fmt.Sprintf("192.0.2.%d", address))
	}
	for number := range 10 * newcomerTries {
		flood("ci", number%10)
	}
	// The user is checked once a second by now, of each kind of address.
	d.pass(pace)
	expect(t, flood("ci", 1), "wrong")
	expect(t, flood("ci", 2), userLimited)
	expect(t, d.login("ci", "ci", "203.0.113.1"), "right")
	for d.guard.suspects.waiting.TryAcquire(1) {
	}
	expect(t, d.login("dev", "dev", "192.0.2.3"), tooManyAtOnce)
	expect(t, d.login("dev", "dev", "203.0.113.2"), "right")
	d.pass(time.Minute)
	expect(t, d.login("dev", "dev", "192.0.2.3"), "right")
}

func TestARightPasswordIsNotCheckedAgainForAMinuteAndOnlyFromThere(t *testing.T) {
	d := newDoor(t, 5)
	expect(t, d.login("ci", "ci", "192.0.2.1"), "right")
	mine := d.logins.of["ci"]
	d.logins.of["ci"] = nil // Every further check fails.
	expect(t, d.login("ci", "ci", "192.0.2.1"), "right")
	expect(t, d.login("ci", "ci", "192.0.2.2"), "wrong")
	expect(t, d.login("ci", "c", "192.0.2.1"), "wrong")
	expect(t, d.login("dev", "ci", "192.0.2.1"), "wrong")
	d.pass(verifiedFor)
	expect(t, d.login("ci", "ci", "192.0.2.1"), "wrong")
	d.logins.of["ci"] = mine
	expect(t, d.login("ci", "ci", "192.0.2.1"), "right")
	// Other files count at once.
	d.logins = newLogins([]Login{{User: "ci", Hash: cheap(t, "other")}})
	expect(t, d.login("ci", "ci", "192.0.2.1"), "wrong")
}

func TestAPasswordIsNotRememberedBeyondItsTime(t *testing.T) {
	d := newDoor(t, 5)
	until := d.now().Add(10 * time.Second)
	d.logins = newLogins([]Login{{User: "ci", Hash: cheap(t, "ci"), Until: &until}})
	expect(t, d.login("ci", "ci", "192.0.2.1"), "right")
	d.pass(11 * time.Second)
	expect(t, d.login("ci", "ci", "192.0.2.1"), "wrong")
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	d := newDoor(t, 1)
	expect(t, d.login("ci", "x", "2001:db8::1"), "wrong")
	expect(t, d.login("ci", "x", "2001:db8::2"), pairLimited)
	expect(t, d.login("ci", "x", "2001:db8:0:1::1"), "wrong")
	expect(t, d.login("ci", "x", "192.0.2.1"), "wrong")
	expect(t, d.login("ci", "x", "::ffff:192.0.2.1"), pairLimited)
}

func TestChecksAtOnceAreBoundedAndThoseThatWait(t *testing.T) {
	gate := newGate(2)
	ctx := context.Background()
	for range 2 {
		if !gate.enter(ctx) {
			t.Fatal("nobody is in")
		}
	}
	entered := make(chan bool)
	waiting := 2 * waitingPerCheck
	var ready sync.WaitGroup
	for range waiting {
		ready.Add(1)
		go func() {
			ready.Done()
			entered <- gate.enter(ctx)
		}()
	}
	ready.Wait()
	for gate.waiting.TryAcquire(1) { // Until all of them wait.
		gate.waiting.Release(1)
		runtime.Gosched()
	}
	if gate.enter(ctx) {
		t.Fatal("more wait than may")
	}
	for range waiting {
		gate.leave()
		if !<-entered {
			t.Fatal("one that waited wasn't let in")
		}
	}
	gate.leave()
	gate.leave()
	if !gate.inside.TryAcquire(2) || !gate.waiting.TryAcquire(int64(2+waiting)) {
		t.Fatal("somebody is counted who has left")
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	gate := newGate(1)
	gate.enter(context.Background())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if gate.enter(ended) {
		t.Fatal("entered")
	}
	gate.leave()
	if !gate.enter(context.Background()) {
		t.Fatal("the one that went still waits")
	}
}

func TestTheMemoryOfAFloodIsBounded(t *testing.T) {
	d := newDoor(t, 20)
	d.logins.rounds = 0 // No work: only counting.
	name := strings.Repeat("n", maxUserName-6)
	flood := func(from, to int) {
		for number := from; number < to; number++ {
			address := netip.AddrFrom4([4]byte{10, byte(number >> 16), byte(number >> 8), byte(number)})
			d.login(fmt.Sprintf("%s%06d", name, number), "x", address.String())
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc
	}
	empty := heap()
	flood(0, 3*remembered)
	full := heap()
	flood(3*remembered, 6*remembered)
	more := heap()
	t.Logf("%d KiB for %d addresses", (full-empty)>>10, remembered)
	if more > full+full/4 || full-empty > 32<<20 {
		t.Errorf("%d, then %d, then %d bytes", empty, full, more)
	}
}
