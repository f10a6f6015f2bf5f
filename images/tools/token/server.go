package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/registry/auth/token"
)

const (
	tokenPath  = "/auth/token"
	healthPath = "/healthz"
	// maxForm bounds the body of an OAuth2 request, bytes.
	maxForm = 64 << 10
	// maxScopes and maxScopeBytes bound what one request asks for, and so a line of the audit log; a
	// client that mounts layers asks for several.
	maxScopes, maxScopeBytes = 100, 8 << 10
	// maxLogged bounds what a line of the audit log says of scopes that were asked for, bytes: anybody
	// can write anything into them. What was granted is all there.
	maxLogged = 2 << 10
	// maxPassword bounds a password, bytes. bcrypt reads the first 72.
	maxPassword = 1024
)

// server answers what docs.docker.com calls the token authentication and OAuth2 endpoints, and passes
// on requests that have no token.
type server struct {
	settings atomic.Pointer[settings]
	guard    atomic.Pointer[guard]
	audit    *slog.Logger
	now      func() time.Time
	// registries by host name, those of the start.
	registries map[string]*registry
}

func newServer(start *settings, audit *slog.Logger, now func() time.Time) *server {
	s := &server{audit: audit, now: now, registries: map[string]*registry{}}
	s.use(start)
	for host, address := range start.config.Registries {
		s.registries[host] = newRegistry(address, audit, now)
	}
	return s
}

// use goes on with other settings. What is known of wrong logins stays, unless limits changed.
func (s *server) use(next *settings) {
	s.settings.Store(next)
	if known := s.guard.Load(); known == nil || known.limits != next.config.Limits {
		s.guard.Store(newGuard(next.config.Limits, s.now))
	}
}

// watch looks the registries' tasks up until `stop` is done. It returns after the first look: whoever
// came before that would find none.
func (s *server) watch(stop context.Context) {
	var first sync.WaitGroup
	for _, registry := range s.registries {
		first.Go(func() { registry.look(stop) })
	}
	first.Wait()
	for _, registry := range s.registries {
		go registry.watch(stop)
	}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET "+tokenPath, s.get)
	mux.HandleFunc("POST "+tokenPath, s.post)
	mux.HandleFunc(registryPath, s.pass)
	return mux
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	asked := request{service: query.Get("service"), scopes: parseScopes(query["scope"])}
	asked.user, asked.password, asked.hasLogin = r.BasicAuth()
	if !asked.hasLogin && r.Header.Get("Authorization") != "" {
		s.answer(w, r, asked, badRequest("invalid_request", "only basic authentication is known"))
		return
	}
	s.serve(w, r, asked)
}

func (s *server) post(w http.ResponseWriter, r *http.Request) {
	form, wrong := readForm(w, r)
	if wrong != nil {
		s.answer(w, r, request{}, wrong)
		return
	}
	s.serve(w, r, request{
		user: form.Get("username"), password: form.Get("password"), hasLogin: true,
		service: form.Get("service"), scopes: parseScopes(form["scope"]),
	})
}

// serve answers a request with a token, if its login is right.
func (s *server) serve(w http.ResponseWriter, r *http.Request, asked request) {
	settings := s.settings.Load()
	user, wrong := s.authenticate(r, settings, asked)
	if wrong != nil {
		s.answer(w, r, asked, wrong)
		return
	}
	now := s.now()
	granted := settings.access.granted(user, asked.scopes)
	signed, err := settings.signer.sign(user, granted, now)
	if err != nil {
		s.answer(w, r, asked, unsigned)
		return
	}
	s.log(r, asked, outcome(asked.scopes, granted), slog.Any("granted", texts(granted)))
	writeJSON(w, http.StatusOK, map[string]any{
		"token": signed, "access_token": signed,
		"expires_in": settings.config.LifetimeSeconds,
		"issued_at":  now.UTC().Format(time.RFC3339),
	})
}

// authenticate returns the user, "" for a request without a login.
func (s *server) authenticate(
	r *http.Request, settings *settings, asked request,
) (string, *failure) {
	unauthorized := &failure{
		status: http.StatusUnauthorized, code: "UNAUTHORIZED", oauth: "invalid_grant",
		description: "incorrect username or password", realm: settings.config.Service,
	}
	if asked.service != "" && asked.service != settings.config.Service {
		return "", badRequest("invalid_request", "this is the service %q", settings.config.Service)
	}
	if len(asked.scopes) > maxScopes || sizeOf(asked.scopes) > maxScopeBytes {
		return "", badRequest("invalid_scope", "at most %d scopes, of %d bytes in all, can be asked for",
			maxScopes, maxScopeBytes)
	}
	if !asked.hasLogin {
		if settings.access.anonymous() {
			return "", nil
		}
		unauthorized.description = "a login is needed"
		return "", unauthorized
	}
	if len(asked.user) > maxUserName || len(asked.password) > maxPassword {
		return "", unauthorized
	}
	right, refused := s.guard.Load().login(
		r.Context(), settings.logins, asked.user, asked.password,
		source(r, settings.config.proxies))
	if refused != nil {
		return "", &failure{
			status: http.StatusTooManyRequests, code: "TOOMANYREQUESTS", oauth: "slow_down",
			description: refused.reason, after: refused.after,
		}
	}
	if !right {
		return "", unauthorized
	}
	return asked.user, nil
}

// answer refuses a request, in the words of the registry's API and of OAuth2.
func (s *server) answer(w http.ResponseWriter, r *http.Request, asked request, f *failure) {
	s.log(r, asked, f.result(), slog.String("reason", f.description))
	if f.realm != "" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", f.realm))
	}
	if f.after > 0 {
		seconds := int((f.after + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	writeJSON(w, f.status, map[string]any{
		"errors": []any{map[string]any{"code": f.code, "message": f.description}},
		"error":  f.oauth, "error_description": f.description,
	})
}

func writeJSON(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content) // The client may have gone.
}

// log writes a line of the audit log: who asked for what from where, and what came of it. A name that
// no user has isn't written: it may be a password that somebody typed in the wrong place.
func (s *server) log(r *http.Request, asked request, result string, more slog.Attr) {
	settings := s.settings.Load()
	user := asked.user
	if _, known := settings.logins.of[user]; !known && user != "" {
		user = "(unknown)"
	}
	s.audit.LogAttrs(r.Context(), slog.LevelInfo, "token",
		slog.String("user", user),
		slog.String("address", source(r, settings.config.proxies).String()),
		slog.Any("scopes", scopeTexts(asked.scopes, maxLogged)),
		slog.String("result", result),
		more,
	)
}

// outcome says how much of what a client asks for it got.
func outcome(asked []scope, granted []*token.ResourceActions) string {
	got := map[string]bool{}
	for _, each := range granted {
		for _, action := range each.Actions {
			got[scope{each.Type, each.Name, []string{action}}.String()] = true
		}
	}
	missing := false
	for _, each := range asked {
		wanted := each.actions
		if each.kind == "repository" && slices.Contains(wanted, "*") {
			wanted = repositoryActions
		}
		for _, action := range wanted {
			missing = missing || !got[scope{each.kind, each.name, []string{action}}.String()]
		}
	}
	switch {
	case !missing:
		return "granted"
	case len(got) == 0:
		return "denied"
	}
	return "partial"
}

// source returns the address that a request comes from. Traefik asks here, and says last in
// X-Forwarded-For who asked it; who is before that counts as far as proxies are trusted. A client can
// write anything in front, from a private address too: those are no proxies by themselves.
func source(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	address, isProxy := peer.Addr().Unmap(), true
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if !isProxy || err != nil {
			break
		}
		address = next.Unmap().WithZone("")
		isProxy = slices.ContainsFunc(trusted, func(network netip.Prefix) bool {
			return network.Contains(address)
		})
	}
	return address
}
