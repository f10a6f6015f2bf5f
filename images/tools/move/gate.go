package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// patience is the longest time for which a request waits for a registry to be there.
const patience = time.Minute

// gate is what requests go through on their way to the registry, wherever that runs by then. While it is
// closed, those that write wait. While no registry is there to connect to, all do.
type gate struct {
	registry http.Handler
	limit    time.Duration // after which it opens by itself
	drain    time.Duration // for which a closing gate waits for requests under way

	mutex    sync.Mutex
	opened   chan struct{} // closed while the gate is open
	closed   time.Time     // when the gate was closed last
	late     *time.Timer
	expired  bool // it opened by itself
	underWay int
	idle     *sync.Cond
}

// pause is what became of a gate that was closed.
type pause struct {
	Seconds  float64 `json:"seconds"`   // for which writes have waited
	Expired  bool    `json:"expired"`   // the gate opened by itself
	UnderWay int     `json:"under_way"` // requests that go on in the registry
}

func newGate(registry *url.URL, limit, drain time.Duration) *gate {
	// The registry builds addresses from the host name and the forwarded headers that Traefik sends:
	// both go on as they are.
	forward := &httputil.ReverseProxy{
		// Each request connects anew: to the registry that is there now.
		Transport:     &http.Transport{DialContext: patientDial, DisableKeepAlives: true},
		FlushInterval: -1,
		Director: func(r *http.Request) {
			r.URL.Scheme, r.URL.Host = registry.Scheme, registry.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the registry doesn't answer: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
	opened := make(chan struct{})
	close(opened)
	g := &gate{registry: forward, limit: limit, drain: drain, opened: opened}
	g.idle = sync.NewCond(&g.mutex)
	return g
}

// patientDial connects, as soon as somebody is there.
func patientDial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	for {
		connection, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return connection, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		g.registry.ServeHTTP(w, r)
		return
	}
	if !g.enter(r.Context()) {
		return // the client has given up
	}
	defer g.leave()
	g.registry.ServeHTTP(w, r)
}

// enter waits for the gate to be open, and returns whether it is.
func (g *gate) enter(ctx context.Context) bool {
	for {
		g.mutex.Lock()
		opened := g.opened
		select {
		case <-opened:
			g.underWay++
			g.mutex.Unlock()
			return true
		default:
		}
		g.mutex.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
			return false
		}
	}
}

func (g *gate) leave() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.underWay--
	g.idle.Broadcast()
}

// close has further requests wait, and returns once those under way have ended, or the time for that is
// over.
func (g *gate) close(ctx context.Context) pause {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.opened:
		g.opened, g.closed, g.expired = make(chan struct{}), time.Now(), false
		g.late = time.AfterFunc(g.limit, func() { g.release(true) })
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, g.drain)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		g.mutex.Lock()
		defer g.mutex.Unlock()
		g.idle.Broadcast()
	})()
	for g.underWay > 0 && ctx.Err() == nil {
		g.idle.Wait()
	}
	return g.state()
}

// open lets all requests through, and returns for how long they have waited.
func (g *gate) open() pause {
	g.release(false)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.state()
}

func (g *gate) release(expired bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.opened:
		return
	default:
	}
	g.expired = expired
	g.late.Stop()
	close(g.opened)
}

func (g *gate) state() pause {
	seconds := 0.0
	if !g.closed.IsZero() {
		seconds = time.Since(g.closed).Seconds()
	}
	return pause{seconds, g.expired, g.underWay}
}
