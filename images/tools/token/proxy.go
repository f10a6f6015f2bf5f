package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"
)

// Traefik sends requests to a registry here that have no token, so that a registry may go from
// passwords to tokens, and back, while clients work: most clients go on with the kind of login that
// they began with. Each request goes on to a task of the registry, with what that task asks for.
// Where the old and the new tasks run side by side, clients are asked for a password, which counts
// at both.

const (
	registryPath = "/v2/"
	// lookUpEvery is how often the tasks of a registry are looked up.
	lookUpEvery  = time.Second
	probeTimeout = 2 * time.Second
	// retryAfter is what clients are told where no task answers, in seconds.
	retryAfter = "5"
	// maxRegistryConnections to one task.
	maxRegistryConnections = 512
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
}

func newRegistry(address string, now func() time.Time) *registry {
	name, port, _ := net.SplitHostPort(address) // config.json was checked.
	r := &registry{
		name: name, port: port, resolve: net.DefaultResolver.LookupHost, probe: probe, now: now,
	}
	r.tasks.Store(&map[string]kind{})
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

// task returns the address of one, at random; those that ask for no token come first.
func (r *registry) task() (address string, asks kind) {
	var first, second []string
	tasks := *r.tasks.Load()
	for address, kind := range tasks {
		if kind == asksToken {
			second = append(second, address)
		} else {
			first = append(first, address)
		}
	}
	for _, list := range [][]string{first, second} {
		if len(list) > 0 {
			address = list[rand.IntN(len(list))]
			return address, tasks[address]
		}
	}
	return "", unknown
}

// tookPasswords says whether a task asked for passwords within some time: Traefik learns only after a
// while that one has gone.
func (r *registry) tookPasswords(within time.Duration) bool {
	return r.now().Sub(time.Unix(0, r.passwords.Load())) < within
}

// forwarded are the headers with what a client asked for; ReverseProxy leaves them out.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// addressKey is that of the task's address in the context of a request.
type addressKey struct{}

// newReverseProxy passes a request on to the task at its context's address, as Traefik sent it: from
// its headers the registry makes the addresses that it answers with.
func newReverseProxy(log *slog.Logger) *httputil.ReverseProxy {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 16
	transport.MaxConnsPerHost = maxRegistryConnections
	transport.DisableCompression = true
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			address, _ := p.In.Context().Value(addressKey{}).(string)
			p.Out.URL.Scheme, p.Out.URL.Host = "http", address
			for _, name := range forwarded {
				if values, has := p.In.Header[name]; has {
					p.Out.Header[name] = values
				}
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // Else the client has gone.
				log.Error("registry", "reason", err.Error())
			}
			unavailable(w)
		},
	}
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", retryAfter)
	refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "no task of the registry answers")
}

// refuse answers in the words of the registry's API.
func refuse(w http.ResponseWriter, status int, code, description string) {
	failed := map[string]any{"code": code, "message": description}
	writeJSON(w, status, map[string]any{"errors": []any{failed}})
}

// pass answers a request to a registry that has no token.
func (s *server) pass(w http.ResponseWriter, r *http.Request) {
	registry := s.registries[hostOf(r)]
	if registry == nil {
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no registry has this host name")
		return
	}
	address, asks := registry.task()
	if asks == unknown {
		unavailable(w)
		return
	}
	if asks != asksPassword && !s.authorize(w, r, registry, asks) {
		return
	}
	if asks != asksToken || r.Header.Get("Authorization") != "" {
		// However long it takes: the time limits are Traefik's. Strangers get less.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
	}
	s.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, address)))
}

// authorize puts a token in the place of a request's password, for a task that checks none itself. If
// the task must not get the request, it is answered, and the result is false.
func (s *server) authorize(w http.ResponseWriter, r *http.Request, to *registry, asks kind) bool {
	settings := s.settings.Load()
	asked := request{hasLogin: true, scopes: needed(r)}
	var has bool
	asked.user, asked.password, has = r.BasicAuth()
	r.Header.Del("Authorization")
	if !has {
		within := time.Duration(settings.config.DiscoverySeconds) * time.Second
		if asks == asksToken && !to.tookPasswords(within) {
			return true // It says itself where tokens are.
		}
		s.refuseLogin(w, settings)
		return false
	}
	user, wrong := s.authenticate(r, settings, asked)
	switch {
	case wrong != nil && wrong.status == http.StatusUnauthorized && asks == asksToken:
		s.log(r, asked, wrong.result(), slog.String("reason", wrong.description))
		return true // As without a login.
	case wrong != nil:
		s.answer(w, r, asked, wrong)
		return false
	case asks == asksNothing:
		return true
	}
	granted := settings.access.granted(user, asked.scopes)
	signed, err := settings.signer.sign(user, granted, s.now())
	if err != nil {
		s.answer(w, r, asked, unsigned)
		return false
	}
	s.log(r, asked, outcome(asked.scopes, granted), slog.Any("granted", texts(granted)))
	r.Header.Set("Authorization", "Bearer "+signed)
	return true
}

// refuseLogin asks for a password, as the registry does where it checks that itself.
func (s *server) refuseLogin(w http.ResponseWriter, settings *settings) {
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", settings.config.Service))
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a login is needed")
}

// hostOf returns the host name that a client asked for.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	return strings.ToLower(host)
}

var routes = v2.Router()

// needed returns the scopes that the registry will want for a request.
func needed(r *http.Request) []scope {
	var match mux.RouteMatch
	if !routes.Match(&http.Request{Method: r.Method, URL: &url.URL{Path: r.URL.Path}}, &match) {
		return nil
	}
	if match.Route.GetName() == v2.RouteNameCatalog {
		return []scope{{"registry", catalog, []string{"*"}}}
	}
	name := match.Vars["name"]
	if name == "" {
		return nil
	}
	actions := []string{"pull", "push"}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		actions = []string{"pull"}
	case http.MethodDelete:
		actions = []string{"delete"}
	}
	scopes := []scope{{"repository", name, actions}}
	if from := r.URL.Query().Get("from"); from != "" {
		scopes = append(scopes, scope{"repository", from, []string{"pull"}})
	}
	return scopes
}
