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
	limit time.Duration // after which it opens by itself
	drain time.Duration // for which a closing gate waits for requests under way

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

func newGate(limit, drain time.Duration) *gate {
	opened := make(chan struct{})
	close(opened)
	g := &gate{limit: limit, drain: drain, opened: opened}
	g.idle = sync.NewCond(&g.mutex)
	return g
}

// before returns the gate's side that is before an address: the registry, or what leads on to it.
func (g *gate) before(address *url.URL) http.Handler {
	forward := &httputil.ReverseProxy{
		Transport: patient{&http.Transport{
			DialContext: patientDial,
			// Each request connects anew: to the registry that is there now.
			DisableKeepAlives:  true,
			DisableCompression: true,
		}},
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = address.Scheme, address.Host
			// The registry builds addresses from the host name and these headers, as Traefik sent them.
			for _, name := range forwarded {
				if values, has := p.In.Header[name]; has {
					p.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the registry doesn't answer: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reads(r) {
			if !g.enter(r.Context()) {
				return // the client has given up
			}
			defer g.leave()
		}
		forward.ServeHTTP(w, r)
	})
}

// forwarded are the headers with what a client asked for; ReverseProxy leaves them out.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// patient asks again, for what reads, while the answer is to come back later: so says the token server
// where it knows of no registry.
type patient struct{ http.RoundTripper }

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for began := time.Now(); ; {
		answer, err := p.RoundTripper.RoundTrip(r)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !reads(r) ||
			answer.Header.Get("Retry-After") == "" || time.Since(began) > patience {
			return answer, err
		}
		answer.Body.Close()
		select {
		case <-time.After(300 * time.Millisecond):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
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
