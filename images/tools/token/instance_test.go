package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/auth"
	"github.com/go-jose/go-jose/v4"
)

// instance is a server of right files, what it logs, and the registry's own check of its tokens.
type instance struct {
	folder   string
	server   *server
	handler  http.Handler
	log      *bytes.Buffer
	registry auth.AccessController
}

func newInstance(t testing.TB) *instance {
	t.Helper()
	folder := folder(t)
	settings, err := load(folder)
	if err != nil {
		t.Fatal(err)
	}
	settings.logins.rounds = 1 << minCost
	log := &bytes.Buffer{}
	server := newServer(settings, newLog(log), time.Now)
	return &instance{folder, server, server.handler(), log, registryOf(t, folder)}
}

// registryOf believes tokens of the folder's key, as a registry with the same issuer does.
func registryOf(t testing.TB, folder string) auth.AccessController {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := parseKey(content)
	signer, err := newSigner(key, Config{})
	if err != nil {
		t.Fatal(err)
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: signer.keyID, Algorithm: "ES256", Use: "sig"}
	jwks, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	writeFile(t, folder, "jwks.json", string(jwks))
	controller, err := auth.GetAccessController("token", map[string]any{
		"realm": "unused", "autoredirect": true, "autoredirectpath": tokenPath,
		"service": "registry", "issuer": "registry", "jwks": filepath.Join(folder, "jwks.json"),
		"signingalgorithms": []any{"ES256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return controller
}

type answer struct {
	status  int
	header  http.Header
	content map[string]any
}

func (i *instance) do(request *http.Request) answer {
	recorder := httptest.NewRecorder()
	i.handler.ServeHTTP(recorder, request)
	content := map[string]any{}
	_ = json.Unmarshal(recorder.Body.Bytes(), &content)
	return answer{recorder.Code, recorder.Header(), content}
}

// get asks for scopes; the user "" has no login.
func (i *instance) get(user, password string, scopes ...string) answer {
	query := url.Values{"service": {"registry"}, "scope": scopes, "account": {user}}
	request := httptest.NewRequest("GET", tokenPath+"?"+query.Encode(), nil)
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	return i.do(request)
}

func (i *instance) post(form url.Values) answer {
	request := httptest.NewRequest("POST", tokenPath, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return i.do(request)
}

// allows says whether the registry lets the bearer of an answer's token do something.
func (i *instance) allows(a answer, kind, name, action string) bool {
	request := httptest.NewRequest("GET", "/v2/", nil)
	request.Header.Set("Authorization", fmt.Sprintf("Bearer %s", a.content["token"]))
	resource := auth.Resource{Type: kind, Name: name}
	_, err := i.registry.Authorized(request, auth.Access{Resource: resource, Action: action})
	return err == nil
}

// last returns the newest line of the audit log.
func (i *instance) last(t testing.TB) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(i.log.String()), "\n")
	line := map[string]any{}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line
}
