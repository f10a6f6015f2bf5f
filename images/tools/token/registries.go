package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
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
	// to passes requests on to any task of a kind.
	to        map[kind]*httputil.ReverseProxy
	strangers *semaphore.Weighted
}

func newRegistry(address string, log *slog.Logger, now func() time.Time) *registry {
	name, port, _ := net.SplitHostPort(address) // config.json was checked.
	r := &registry{
		name: name, port: port, resolve: net.DefaultResolver.LookupHost, probe: probe, now: now,
		to: map[kind]*httputil.ReverseProxy{}, strangers: semaphore.NewWeighted(strangers),
	}
	r.tasks.Store(&map[string]kind{})
	for _, asks := range []kind{asksPassword, asksToken, asksNothing} {
		r.to[asks] = r.reverseProxy(asks, log)
	}
	return r
}

// watch looks the tasks up until `stop` is done.
func (r *registry) watch(stop context.Context) {
	ticker := time.NewTicker(lookUpEvery)
	defer ticker.Stop()
	for stop.Err() == nil {
		r.look(stop)
		select {
		case <-stop.Done():
		case <-ticker.C:
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
// is a line in the registry's log, so each is asked once.
func (r *registry) use(ctx context.Context, addresses []string) {
	known, now := *r.tasks.Load(), map[string]kind{}
	for _, address := range addresses {
		found := known[address]
		if found == unknown {
			found = r.probe(ctx, address)
		}
		if found != unknown {
			now[address] = found
		}
		if found == asksPassword || found == asksNothing {
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

// asks returns the kind of the tasks that a request shall go to: those that ask for no token, if any do.
func (r *registry) asks() kind {
	asks := unknown
	for _, each := range *r.tasks.Load() {
		if asks == unknown || each != asksToken {
			asks = each
		}
	}
	return asks
}

// dial connects to a task of a kind, at random; to another one where that doesn't answer.
func (r *registry) dial(ctx context.Context, asks kind) (connection net.Conn, err error) {
	err = errors.New("no such task of " + r.name)
	dialer := net.Dialer{Timeout: dialTimeout}
	tasks := *r.tasks.Load()
	addresses := slices.Collect(maps.Keys(tasks))
	rand.Shuffle(len(addresses), func(i, j int) {
		addresses[i], addresses[j] = addresses[j], addresses[i]
	})
	for _, address := range addresses {
		if tasks[address] != asks {
			continue
		}
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
