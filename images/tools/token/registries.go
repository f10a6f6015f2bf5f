package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// kind is what a task of a registry asks for.
type kind int

const (
	unknown kind = iota // It doesn't answer as a registry does, yet.
	asksPassword
	asksToken
	asksNothing // Traefik asks for the password.
)

// registry is one that asks for this server's tokens, or will.
type registry struct {
	name, port string
	resolve    func(ctx context.Context, host string) ([]string, error)
	probe      func(ctx context.Context, address string) kind
	now        func() time.Time

	tasks atomic.Pointer[map[string]kind] // By address; only those whose kind is known.
	// passwords is when a task that asks for passwords was seen last, Unix nanoseconds.
	passwords atomic.Int64
	// proxy passes requests on to the tasks that were chosen for them.
	proxy     *httputil.ReverseProxy
	strangers *semaphore.Weighted
}

// choice is the tasks that a request may go to: all of them ask for the same.
type choice struct {
	asks      kind
	addresses []string
}

// chosen is the key of the choice in the context of a request.
type chosen struct{}

func newRegistry(address string, log *slog.Logger, now func() time.Time) *registry {
	name, port, _ := net.SplitHostPort(address) // config.json was checked.
	r := &registry{
		name: name, port: port, resolve: net.DefaultResolver.LookupHost, probe: probe, now: now,
		strangers: semaphore.NewWeighted(strangers),
	}
	r.tasks.Store(&map[string]kind{})
	r.proxy = r.reverseProxy(log)
	return r
}

// watch looks the tasks up again and again, until `stop` is done.
func (r *registry) watch(stop context.Context) {
	ticker := time.NewTicker(lookUpEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop.Done():
			return
		case <-ticker.C:
			r.look(stop)
		}
	}
}

// look looks up once which tasks there are.
func (r *registry) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	hosts, err := r.resolve(ctx, r.name)
	// A name that isn't there has no tasks; what fails otherwise says nothing about them.
	if missing := (*net.DNSError)(nil); err != nil && !(errors.As(err, &missing) && missing.IsNotFound) {
		return
	}
	var addresses []string
	for _, host := range hosts {
		addresses = append(addresses, net.JoinHostPort(host, r.port))
	}
	r.use(ctx, addresses)
}

// use goes on with the tasks at these addresses. A task's kind never changes, and each question for it
// is a line in the registry's log, so each is asked once; all at a time, since one that is lost takes as
// long as there is to answer.
func (r *registry) use(ctx context.Context, addresses []string) {
	known, found := *r.tasks.Load(), make([]kind, len(addresses))
	var probes sync.WaitGroup
	for i, address := range addresses {
		if found[i] = known[address]; found[i] == unknown {
			probes.Go(func() { found[i] = r.probe(ctx, address) })
		}
	}
	probes.Wait()
	now := map[string]kind{}
	for i, asks := range found {
		if asks != unknown {
			now[addresses[i]] = asks
		}
		if asks == asksPassword || asks == asksNothing {
			r.passwords.Store(r.now().UnixNano())
		}
	}
	r.tasks.Store(&now)
}

// probe asks a task for the kind of login that it wants.
func probe(ctx context.Context, address string) kind {
	request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address+registryPath, nil)
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return unknown
	}
	defer answer.Body.Close()
	scheme, _, _ := strings.Cut(answer.Header.Get("WWW-Authenticate"), " ")
	switch {
	case answer.StatusCode == http.StatusOK:
		return asksNothing
	case answer.StatusCode == http.StatusUnauthorized && strings.EqualFold(scheme, "basic"):
		return asksPassword
	case answer.StatusCode == http.StatusUnauthorized && strings.EqualFold(scheme, "bearer"):
		return asksToken
	}
	return unknown
}

// choose returns the tasks that a request shall go to: those that ask for no token, if any do. It is
// chosen once for each request. A task that an update ends isn't found any more, but it serves on, for
// longer than the check of a password takes; there may be no other of its kind.
func (r *registry) choose() choice {
	tasks, asks := *r.tasks.Load(), unknown
	for _, each := range tasks {
		if asks == unknown || each != asksToken {
			asks = each
		}
	}
	to := choice{asks: asks}
	for address, each := range tasks {
		if each == asks {
			to.addresses = append(to.addresses, address)
		}
	}
	return to
}

// dial connects to one of the tasks that were chosen for a request, at random; to another one where that
// doesn't answer. The network and the address that it is asked for are the proxy's names of them all.
func (r *registry) dial(ctx context.Context, _, _ string) (connection net.Conn, err error) {
	to, _ := ctx.Value(chosen{}).(choice)
	rand.Shuffle(len(to.addresses), func(i, j int) {
		to.addresses[i], to.addresses[j] = to.addresses[j], to.addresses[i]
	})
	err = errors.New("no task of " + r.name)
	dialer := net.Dialer{Timeout: dialTimeout}
	for _, address := range to.addresses {
		if connection, err = dialer.DialContext(ctx, "tcp", address); err == nil {
			return connection, nil
		}
	}
	return nil, err
}

// tookPasswords says whether a task asked for passwords within some time: Traefik learns only after a
// while that one has gone.
func (r *registry) tookPasswords(within time.Duration) bool {
	return r.now().Sub(time.Unix(0, r.passwords.Load())) < within
}
