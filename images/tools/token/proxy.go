package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
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
	retryAfter  = "5"
	dialTimeout = 2 * time.Second
	// strangers are answered at once, so many of them; their answers are short. The rest waits.
	strangers       = 64
	strangerTimeout = 10 * time.Second
	// maxConnectionsTo all tasks of a registry.
	maxConnectionsTo = 256
)

// forwarded are the headers with what a client asked for; ReverseProxy leaves them out.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// reverseProxy passes requests on to tasks, as Traefik sent them: from their headers the registry makes
// the addresses that it answers with.
func (r *registry) reverseProxy(log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext:           r.dial,
			MaxConnsPerHost:       maxConnectionsTo,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
			DisableKeepAlives:     true, // As `listen` has none, and for the same reason.
		},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", r.name
			for _, name := range forwarded {
				if values, has := p.In.Header[name]; has {
					p.Out.Header[name] = values
				}
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(r.Context().Err(), context.Canceled) { // Else the client has gone.
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
	to := registry.choose()
	if to.asks == unknown {
		unavailable(w)
		return
	}
	if to.asks != asksPassword && !s.authorize(w, r, registry, to.asks) {
		return
	}
	ctx := context.WithValue(r.Context(), chosen{}, to)
	if to.asks == asksToken && r.Header.Get("Authorization") == "" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, strangerTimeout)
		defer cancel()
		if registry.strangers.Acquire(ctx, 1) != nil {
			unavailable(w)
			return
		}
		defer registry.strangers.Release(1)
	} else {
		// However long it takes: the time limits are Traefik's.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
	}
	registry.proxy.ServeHTTP(w, r.WithContext(ctx))
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
