package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/auth"
)

const registryHost = "registry.example.com"

// task is a registry's task that answers with what it got.
func task(t *testing.T, authorized func(*http.Request) error) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := authorized(r); err != nil {
			if challenge := auth.Challenge(nil); errors.As(err, &challenge) {
				challenge.SetHeaders(r, w)
			}
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		header := r.Header
		fmt.Fprintf(w, "%s %s %s %s %q %s", r.Method, r.Host, header.Get("X-Forwarded-Proto"),
			header.Get("X-Forwarded-For"), header.Get("Authorization"), body)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// passing is an instance in front of a registry's tasks, which are what a test says.
type passing struct {
	*instance
	registry *registry
	time     time.Time
	// address of a task that asks for passwords, of one that asks for tokens, of one that doesn't ask.
	password, token, open string
}

type wantsPassword struct{ auth.Challenge }

func (wantsPassword) Error() string { return "password" }
func (wantsPassword) SetHeaders(_ *http.Request, w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="Registry"`)
}

func newPassing(t *testing.T) *passing {
	p := &passing{instance: newInstance(t), time: time.Now()}
	p.password = task(t, func(r *http.Request) error {
		if user, password, _ := r.BasicAuth(); user == "" || user != password {
			return wantsPassword{}
		}
		return nil
	})
	p.token = task(t, func(r *http.Request) error {
		var access []auth.Access
		for _, scope := range needed(r) {
			for _, action := range scope.actions {
				resource := auth.Resource{Type: scope.kind, Name: scope.name}
				access = append(access, auth.Access{Resource: resource, Action: action})
			}
		}
		_, err := p.instance.registry.Authorized(r, access...)
		return err
	})
	p.open = task(t, func(*http.Request) error { return nil })
	p.registry = newRegistry("images_registry:5000", p.server.audit, func() time.Time { return p.time })
	p.server.registries[registryHost] = p.registry
	p.server.settings.Load().config.DiscoverySeconds = 10
	return p
}

// run has the registry's tasks at these addresses.
func (p *passing) run(addresses ...string) { p.registry.use(context.Background(), addresses) }

// ask sends a request of a user, whose password is his name unless it is given; "" has no login.
func (p *passing) ask(method, path, login string) (int, string, http.Header) {
	request := httptest.NewRequest(method, path, strings.NewReader("content"))
	request.Host = registryHost + ":8443"
	request.Header.Set("X-Forwarded-Proto", "https")
	request.Header.Set("X-Forwarded-For", "9.9.9.9")
	if user, password, has := strings.Cut(login, ":"); login != "" {
		if !has {
			password = user
		}
		request.SetBasicAuth(user, password)
	}
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

func TestARequestGoesOnWithWhatTheTaskAsksFor(t *testing.T) {
	p := newPassing(t)
	const path = "/v2/team/app/blobs/uploads/"
	for _, tasks := range [][]string{{p.password}, {p.token}, {p.password, p.token}, {p.open}} {
		p.run(tasks...)
		status, body, _ := p.ask("POST", path, "ci")
		if status != http.StatusOK || !strings.HasSuffix(body, " content") {
			t.Errorf("%v: %d %s", tasks, status, body)
		}
		// The registry makes addresses of these.
		if !strings.HasPrefix(body, "POST "+registryHost+":8443 https 9.9.9.9 ") {
			t.Errorf("%v: %s", tasks, body)
		}
		if status, _, _ := p.ask("POST", path, "ci:wrong"); status != http.StatusUnauthorized {
			t.Errorf("%v: a wrong password: %d", tasks, status)
		}
	}
	if _, body, _ := p.ask("POST", path, "ci"); strings.Contains(body, "Basic") {
		t.Errorf("a task that doesn't ask gets the password: %s", body)
	}
}

func TestTheRulesHoldForPasswordsToo(t *testing.T) {
	p := newPassing(t)
	p.run(p.token)
	for request, right := range map[string]int{
		"GET /v2/ ci":                        200,
		"GET /v2/team/app/manifests/1 ci":    200,
		"DELETE /v2/team/app/manifests/1 ci": 401,
		"GET /v2/secret/app/manifests/1 ci":  401,
		"GET /v2/_catalog ci":                401,
		"GET /v2/_catalog admin":             200,
		"POST /v2/team/app/blobs/uploads/?mount=sha256:0&from=team/b ci":   200,
		"POST /v2/team/app/blobs/uploads/?mount=sha256:0&from=secret/b ci": 401,
		"GET /v2/public/app/manifests/1 ci":                                200,
		"GET /v2/team/app/manifests/1 stranger":                            401,
	} {
		parts := strings.Fields(request)
		if status, _, _ := p.ask(parts[0], parts[1], parts[2]); status != right {
			t.Errorf("%s: %d", request, status)
		}
	}
	p.ask("GET", "/v2/team/app/tags/list", "ci")
	if line := p.last(t); line["user"] != "ci" || line["result"] != "granted" {
		t.Errorf("%v", line)
	}
}

func TestATokenIsAskedForOnceNobodyMeetsATaskThatWantsAPassword(t *testing.T) {
	p := newPassing(t)
	challenge := func() string {
		status, _, header := p.ask("GET", "/v2/", "")
		if status != http.StatusUnauthorized {
			t.Errorf("%d", status)
		}
		scheme, _, _ := strings.Cut(header.Get("WWW-Authenticate"), " ")
		return scheme
	}
	for _, tasks := range [][]string{{p.password}, {p.token, p.password}, {p.token}, {p.open}} {
		p.run(tasks...)
		if scheme := challenge(); scheme != "Basic" {
			t.Errorf("%v: %s", tasks, scheme)
		}
	}
	p.run(p.token)
	p.time = p.time.Add(11 * time.Second)
	if scheme := challenge(); scheme != "Bearer" {
		t.Error(scheme)
	}
	// However long it took to look the tasks up.
	p.run(p.open)
	p.time = p.time.Add(time.Hour)
	if scheme := challenge(); scheme != "Basic" {
		t.Error(scheme)
	}
}

func TestAFloodOfWrongPasswordsAtTheRegistryIsRefused(t *testing.T) {
	p := newPassing(t)
	p.run(p.token)
	for range 5 {
		p.ask("GET", "/v2/", "ci:wrong")
	}
	status, _, header := p.ask("GET", "/v2/", "ci:wrong")
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Error(status, header)
	}
}

func TestWithoutATaskTheRegistryIsUnavailable(t *testing.T) {
	p := newPassing(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer broken.Close()
	for _, tasks := range [][]string{nil, {strings.TrimPrefix(broken.URL, "http://")}} {
		p.run(tasks...)
		if status, _, header := p.ask("GET", "/v2/", "ci"); status != 503 || header.Get("Retry-After") == "" {
			t.Errorf("%v: %d", tasks, status)
		}
	}
	p.registry.tasks.Store(&map[string]kind{strings.TrimPrefix(broken.URL, "http://"): asksToken})
	broken.Close()
	if status, _, header := p.ask("GET", "/v2/", "ci"); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("a task that has gone: %d", status)
	}
	delete(p.server.registries, registryHost)
	if status, _, _ := p.ask("GET", "/v2/", "ci"); status != http.StatusNotFound {
		t.Errorf("no such registry: %d", status)
	}
}

func TestAnotherTaskTakesWhatOneThatHasGoneDoesNot(t *testing.T) {
	p := newPassing(t)
	tasks := map[string]kind{p.token: asksToken}
	for port := range 20 {
		tasks[fmt.Sprintf("127.0.0.1:%d", 1+port)] = asksToken
	}
	p.registry.tasks.Store(&tasks)
	for range 5 {
		if status, _, _ := p.ask("POST", "/v2/team/app/blobs/uploads/", "ci"); status != 200 {
			t.Error(status)
		}
	}
}

func TestWhatTheRegistryWillWant(t *testing.T) {
	for request, right := range map[string][]string{
		"GET /v2/":                                             {},
		"GET /v2/_catalog?n=5":                                 {"registry:catalog:*"},
		"HEAD /v2/a/b/manifests/latest":                        {"repository:a/b:pull"},
		"PUT /v2/a/manifests/sha256-0":                         {"repository:a:pull,push"},
		"PATCH /v2/a/blobs/uploads/1-2?_state=x":               {"repository:a:pull,push"},
		"DELETE /v2/a/blobs/sha256:" + strings.Repeat("0", 64): {"repository:a:delete"},
		"POST /v2/a/blobs/uploads/?mount=x&from=b/c":           {"repository:a:pull,push", "repository:b/c:pull"},
		"GET /v2/blobs/manifests/tags/list":                    {"repository:blobs/manifests:pull"},
		"GET /v2/a/referrers/sha256:0":                         {},
	} {
		method, path, _ := strings.Cut(request, " ")
		if scopes := scopeTexts(needed(httptest.NewRequest(method, path, nil)), maxLogged); !reflect.DeepEqual(scopes, right) {
			t.Errorf("%s: %v", request, scopes)
		}
	}
}
