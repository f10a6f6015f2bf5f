package main

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/auth"
	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
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

func TestTheRegistryBelievesATokenAsFarAsRulesAllow(t *testing.T) {
	i := newInstance(t)
	ci := i.get("ci", "ci", "repository:team/app:pull,push", "repository:other:pull")
	admin := i.get("admin", "admin", "registry:catalog:* repository:other:*")
	anonymous := i.get("", "", "repository:public/app:pull,push")
	for _, each := range []struct {
		answer             answer
		kind, name, action string
		allowed            bool
	}{
		{ci, "repository", "team/app", "pull", true},
		{ci, "repository", "team/app", "push", true},
		{ci, "repository", "team/app", "delete", false},
		{ci, "repository", "team/other", "pull", false}, // It wasn't asked for.
		{ci, "repository", "other", "pull", false},
		{ci, "registry", "catalog", "*", false},
		{admin, "registry", "catalog", "*", true},
		{admin, "repository", "other", "delete", true},
		{anonymous, "repository", "public/app", "pull", true},
		{anonymous, "repository", "public/app", "push", false},
		{anonymous, "repository", "team/app", "pull", false},
	} {
		if got := i.allows(each.answer, each.kind, each.name, each.action); got != each.allowed {
			t.Errorf("%s %s %s: %v", each.kind, each.name, each.action, got)
		}
	}
}

func TestATokenHasTheClaimsOfItsRequest(t *testing.T) {
	i := newInstance(t)
	answered := i.get("ci", "former", "repository:team/app:*")
	parsed, err := jwt.ParseSigned(answered.content["token"].(string), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims token.ClaimSet
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != "registry" || claims.Subject != "ci" || claims.Audience[0] != "registry" ||
		claims.Expiration-claims.IssuedAt != 300 || claims.NotBefore != claims.IssuedAt ||
		len(claims.JWTID) < 20 || len(claims.Access) != 1 {
		t.Errorf("%+v", claims)
	}
	issued, err := time.Parse(time.RFC3339, answered.content["issued_at"].(string))
	if err != nil || issued.Unix() != claims.IssuedAt || answered.content["expires_in"] != 300.0 ||
		answered.content["access_token"] != answered.content["token"] ||
		answered.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", answered)
	}
	if again := i.get("ci", "ci", "repository:team/app:*"); again.content["token"] == answered.content["token"] {
		t.Error("two tokens are the same")
	}
	nothing := i.get("ci", "ci")
	if nothing.status != 200 || i.allows(nothing, "repository", "team/app", "pull") {
		t.Error("a login without a scope")
	}
}

// A key id must be the one that the JWKS has, for keys whose coordinates begin with a zero too.
func TestAKeyIDIsTheThumbprintOfRFC7638(t *testing.T) {
	key := newKey(t, elliptic.P256())
	for key.X.Cmp(new(big.Int).Lsh(big.NewInt(1), 248)) >= 0 {
		key = newKey(t, elliptic.P256())
	}
	signer, err := newSigner(key, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if signer.keyID == token.GetJWKThumbprint(key.Public()) {
		t.Error("distribution has mended its thumbprints: use them")
	}
	padded := jose.JSONWebKey{Key: key.Public()}
	text, _ := padded.MarshalJSON()
	if !strings.Contains(string(text), `"x":"A`) {
		t.Errorf("the key has no leading zero: %s", text)
	}
}

func TestAWrongLoginIsAskedForAgain(t *testing.T) {
	i := newInstance(t)
	for _, each := range []answer{
		i.get("ci", "wrong"), i.get("nobody", "ci"), i.get("ci", ""), i.get(strings.Repeat("a", 1000), "a"),
		i.post(url.Values{"grant_type": {"password"}, "username": {"ci"}, "password": {"wrong"}}),
		i.post(url.Values{"grant_type": {"password"}}),
	} {
		if each.status != 401 || each.header.Get("WWW-Authenticate") != `Basic realm="registry"` ||
			each.content["error"] != "invalid_grant" {
			t.Errorf("%+v", each)
		}
	}
}

func TestWithoutAnAnonymousRuleALoginIsNeeded(t *testing.T) {
	i := newInstance(t)
	writeFile(t, i.folder, configFile, strings.Replace(rightConfig, `"anonymous": true`, `"users": ["dev"]`, 1))
	settings, err := load(i.folder)
	if err != nil {
		t.Fatal(err)
	}
	i.server.use(settings)
	if got := i.get("", "", "repository:public/a:pull"); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%+v", got)
	}
}

func TestOAuth2sFormIsTheSame(t *testing.T) {
	i := newInstance(t)
	right := url.Values{
		"grant_type": {"password"}, "username": {"ci"}, "password": {"ci"}, "client_id": {"test"},
		"service": {"registry"}, "scope": {"repository:team/app:pull repository:team/b:push"},
	}
	if answered := i.post(right); !i.allows(answered, "repository", "team/b", "push") {
		t.Errorf("%+v", answered)
	}
	for name, value := range map[string]string{"grant_type": "refresh_token", "service": "other"} {
		form, _ := url.ParseQuery(right.Encode())
		form.Set(name, value)
		if answered := i.post(form); answered.status != 400 || answered.content["token"] != nil {
			t.Errorf("%s: %+v", name, answered)
		}
	}
	// Neither a password nor a scope is read from the address, which proxies log.
	request := httptest.NewRequest("POST", tokenPath+"?"+right.Encode(), strings.NewReader("grant_type=password"))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if answered := i.do(request); answered.status != 401 {
		t.Errorf("%+v", answered)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	i := newInstance(t)
	form := "application/x-www-form-urlencoded"
	many := strings.Repeat("scope=repository:a:pull&", maxScopes+1)
	for _, each := range []struct {
		method, path, kind, authorization, body string
		status                                  int
	}{
		{"GET", tokenPath + "?service=other", "", "", "", 400},
		{"GET", tokenPath, "", "Bearer abc", "", 400},
		{"GET", tokenPath, "", "Basic ###", "", 400},
		{"GET", tokenPath + "?" + many, "", "", "", 400},
		{"GET", tokenPath + "/", "", "", "", 404},
		{"GET", "/", "", "", "", 404},
		{"PUT", tokenPath, "", "", "", 405},
		{"DELETE", tokenPath, "", "", "", 405},
		{"POST", tokenPath, "application/json", "", "{}", 400},
		{"POST", tokenPath, form, "", "%zz", 400},
		{"POST", tokenPath, form, "", "a=" + strings.Repeat("a", maxForm), 413},
		{"GET", healthPath, "", "", "", 200},
	} {
		request := httptest.NewRequest(each.method, each.path, strings.NewReader(each.body))
		request.Header.Set("Content-Type", each.kind)
		if each.authorization != "" {
			request.Header.Set("Authorization", each.authorization)
		}
		if answered := i.do(request); answered.status != each.status {
			t.Errorf("%s %.40s: %d", each.method, each.path, answered.status)
		}
	}
}

func TestAFloodOfWrongPasswordsIsRefusedAndOthersGoOn(t *testing.T) {
	i := newInstance(t)
	for range 5 {
		i.get("ci", "wrong")
	}
	got := i.get("ci", "ci")
	if got.status != 429 || got.header.Get("Retry-After") != "60" || got.content["error"] != "slow_down" {
		t.Errorf("%+v", got)
	}
	if got := i.get("admin", "admin"); got.status != 200 {
		t.Errorf("%+v", got)
	}
}

func TestTheAuditLogSaysWhoGotWhatFromWhere(t *testing.T) {
	i := newInstance(t)
	ask := func(user, password, scopes string) map[string]any {
		i.get(user, password, scopes)
		return i.last(t)
	}
	for _, each := range []struct {
		line                  map[string]any
		user, result, granted string
	}{
		{ask("ci", "ci", "repository:team/a:pull,push"), "ci", "granted", "[repository:team/a:pull,push]"},
		{ask("ci", "ci", "repository:team/a:pull,delete"), "ci", "partial", "[repository:team/a:pull]"},
		{ask("ci", "ci", "repository:other:pull"), "ci", "denied", "[]"},
		{ask("ci", "ci", "repository:team/a:*"), "ci", "partial", "[repository:team/a:pull,push]"},
		{ask("admin", "admin", "repository:a:* registry:catalog:*"), "admin", "granted", "[repository:a:pull,push,delete registry:catalog:*]"},
		{ask("ci", "ci", "repository:team/a:pull,push repository:b:pull"), "ci", "partial", "[repository:team/a:pull,push]"},
		{ask("", "", "repository:public/a:pull"), "", "granted", "[repository:public/a:pull]"},
		{ask("ci", "hunter2", "repository:team/a:pull"), "ci", "unauthorized", ""},
		{ask("hunter2", "ci", "repository:team/a:pull"), "(unknown)", "unauthorized", ""},
	} {
		granted := ""
		if each.line["granted"] != nil {
			granted = fmt.Sprint(each.line["granted"])
		}
		if each.line["event"] != "token" || each.line["address"] != "192.0.2.1" || each.line["time"] == nil ||
			each.line["user"] != each.user || each.line["result"] != each.result || granted != each.granted {
			t.Errorf("%+v", each.line)
		}
	}
	i.post(url.Values{"grant_type": {"password"}, "username": {"ci"}, "password": {"hunter2"}})
	if text := i.log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "eyJ") {
		t.Error("a secret is in the log")
	}
}

func TestTheAddressIsTheOneThatTrustedProxiesName(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, each := range []struct {
		peer, address string
		forwarded     []string
	}{
		{"192.0.2.1:1", "192.0.2.1", nil},
		{"192.0.2.1:1", "192.0.2.1", []string{"198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"203.0.113.9, 198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"203.0.113.9", "198.51.100.1,10.0.0.7"}},
		{"10.0.1.5:1", "10.1.2.3", []string{"10.1.2.3"}},
		{"10.0.1.5:1", "10.0.1.5", nil},
		{"10.0.1.5:1", "10.0.1.5", []string{"198.51.100.1, unknown"}},
		{"[fd00::5]:1", "2001:db8::1", []string{"2001:db8::1"}},
		{"[::ffff:10.0.1.5]:1", "198.51.100.1", []string{"::ffff:198.51.100.1"}},
	} {
		request := httptest.NewRequest("GET", tokenPath, nil)
		request.RemoteAddr = each.peer
		request.Header["X-Forwarded-For"] = each.forwarded
		if got := source(request, trusted).String(); got != each.address {
			t.Errorf("%s, %s: %s", each.peer, each.forwarded, got)
		}
	}
}

func TestManyAtOnceWhileFilesChange(t *testing.T) {
	i := newInstance(t)
	i.server.audit = newLog(io.Discard)
	settings, err := load(i.folder)
	if err != nil {
		t.Fatal(err)
	}
	settings.logins.rounds = 1 << minCost
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for range 20 {
				if worker == 0 {
					i.server.use(settings)
				} else if got := i.get("ci", "ci", "repository:team/a:pull"); got.status != 200 {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	group.Wait()
}

// listening runs the server of a folder until the test ends, and returns its address.
func listening(t *testing.T, folder string, arguments ...string) (string, *process) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	config := strings.Replace(rightConfig, "127.0.0.1:0", address, 1)
	config = strings.Replace(config, "{", `{"discovery_seconds": 1,`, 1)
	writeFile(t, folder, configFile, config)
	running := start(t, append([]string{"-folder", folder}, arguments...)...)
	eventually(t, func() bool {
		answered, err := http.Get("http://" + address + healthPath)
		if err == nil {
			answered.Body.Close()
		}
		return err == nil && answered.StatusCode == 200
	})
	return "http://" + address, running
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it doesn't come")
		}
	}
}

func TestTheProgramServesReloadsAndEnds(t *testing.T) {
	folder := folder(t)
	address, running := listening(t, folder)
	if code, errors := execute("healthcheck", "-folder", folder); code != 0 {
		t.Error(errors)
	}
	login := func(password string) int {
		request, _ := http.NewRequest("GET", address+tokenPath, nil)
		request.SetBasicAuth("dev", password)
		answered, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		return answered.StatusCode
	}
	if login("dev") != 401 {
		t.Error("nobody is dev")
	}
	users, _ := json.Marshal([]Login{{User: "dev", Hash: cheap(t, "dev")}})
	writeFile(t, folder, usersFile, string(users))
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"reloaded"`) })
	if login("dev") != 200 {
		t.Error("dev isn't there after the change")
	}
	writeFile(t, folder, usersFile, "[")
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"not reloaded"`) })
	if login("dev") != 200 {
		t.Error("a wrong file counts")
	}
	http.DefaultClient.CloseIdleConnections()
	running.signal()
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"stopping"`) })
	if login("dev") != 200 {
		t.Error("nobody answers while Traefik still knows the task")
	}
	if code := running.stop(); code != 0 {
		t.Errorf("it ends with %d: %s", code, running.output())
	}
	if !strings.Contains(running.output(), `"event":"stopped"`) {
		t.Error(running.output())
	}
	if code, errors := execute("healthcheck", "-folder", folder); code != 1 || errors == "" {
		t.Errorf("%d: %s", code, errors)
	}
}

func TestARequestThatHasBegunIsAnsweredAfterSIGTERM(t *testing.T) {
	folder := folder(t)
	address, running := listening(t, folder)
	connection, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST ", tokenPath, " HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n",
		"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n")
	text := make([]byte, 25)
	if _, err := io.ReadFull(connection, text); err != nil || !strings.Contains(string(text), "100 Continue") {
		t.Fatalf("%q, %v", text, err)
	}
	running.signal()
	time.Sleep(100 * time.Millisecond)
	fmt.Fprint(connection, "grant_type=password")
	rest, _ := io.ReadAll(connection)
	if !strings.Contains(string(rest), "401 Unauthorized") {
		t.Errorf("%q", rest)
	}
	if code := running.stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

func TestWrongFilesAreNamedALineEach(t *testing.T) {
	folder := folder(t)
	if code, errors := execute("check", "-folder", folder); code != 0 || errors != "" {
		t.Errorf("%d: %s", code, errors)
	}
	writeFile(t, folder, configFile, "{}")
	writeFile(t, folder, keyFile, "")
	want := []string{
		"registry-token: config.json: issuer: a name is needed",
		"registry-token: config.json: service: a name is needed",
		"registry-token: config.json: access: a rule is needed",
		"registry-token: key.pem: no PKCS #8 private key in PEM", "",
	}
	for _, command := range []string{"check", "serve"} {
		code, errors := execute(command, "-folder", folder)
		if code != 1 || !slices.Equal(strings.Split(errors, "\n"), want) {
			t.Errorf("%s: %d\n%s", command, code, errors)
		}
	}
	for _, arguments := range [][]string{{"other"}, {"-other"}, {"serve", "more"}} {
		if code, errors := execute(arguments...); code != 2 || !strings.Contains(errors, "usage") {
			t.Errorf("%s: %d, %s", arguments, code, errors)
		}
	}
}

func execute(arguments ...string) (int, string) {
	var errors bytes.Buffer
	return run(arguments, io.Discard, &errors), errors.String()
}

func FuzzRequests(f *testing.F) {
	i := newInstance(f)
	i.server.audit = slog.New(slog.DiscardHandler)
	f.Add("GET", "service=registry&scope=repository:a:pull", "Basic Y2k6Y2k=", "10.0.0.1", "")
	f.Add("POST", "", "", "", "grant_type=password&username=ci&password=ci&scope=repository:team/a:pull")
	f.Add("GET", "scope=%ff&service=", "Basic", ",,", "a")
	f.Add("POST", ";", "Basic Og==", "::1%eth0, 1.2.3.4", "%zz")
	f.Fuzz(func(t *testing.T, method, query, authorization, forwarded, body string) {
		request := httptest.NewRequest("GET", tokenPath, strings.NewReader(body))
		request.Method, request.URL.RawQuery = method, query
		request.RemoteAddr = "10.0.0.1:1"
		request.Header.Set("Authorization", authorization)
		request.Header.Set("X-Forwarded-For", forwarded)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answered := i.do(request)
		if answered.status >= 500 {
			t.Errorf("%d", answered.status)
		}
		secret := strings.Contains(body, "password") || authorization != ""
		if answered.content["token"] != nil && !secret && i.allows(answered, "repository", "team/a", "pull") {
			t.Error("a token without a login")
		}
	})
}
