package main

import (
	"crypto/elliptic"
	"io"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

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
		{"GET", tokenPath + "?scope=repository:" + strings.Repeat("a", maxScopeBytes) + ":pull", "", "", "", 400},
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
