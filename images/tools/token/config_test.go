package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const rightConfig = `{
  "issuer": "registry", "service": "registry", "listen": "127.0.0.1:0", "lifetime_seconds": 300,
  "access": [
    {"users": ["admin"], "repositories": ["**"], "actions": ["pull", "push", "delete", "catalog"]},
    {"users": ["ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
    {"anonymous": true, "repositories": ["public/**"], "actions": ["pull"]}
  ],
  "limits": {"failures": 5, "window_seconds": 60, "checks": 2},
  "trusted_proxies": ["10.0.0.0/8", "fd00::/8"]
}`

func writeFile(t testing.TB, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyPEM(t testing.TB, key any) string {
	t.Helper()
	content, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: content}))
}

// folder has the three files, all of them right. The passwords are the names of users.
func folder(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	users, _ := json.Marshal([]map[string]string{
		{"user": "admin", "hash": cheap(t, "admin")},
		{"user": "ci", "hash": cheap(t, "ci")},
		{"user": "ci", "hash": cheap(t, "former"), "until": "2026-11-27T10:00:00Z"},
	})
	writeFile(t, folder, configFile, rightConfig)
	writeFile(t, folder, usersFile, string(users))
	writeFile(t, folder, keyFile, keyPEM(t, newKey(t, elliptic.P256())))
	return folder
}

func TestRightFilesAreRead(t *testing.T) {
	read, err := load(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(read.logins.of) != 2 || len(read.config.proxies) != 2 || read.signer.keyID == "" {
		t.Errorf("%+v", read)
	}
}

func TestAConfigurationHasDefaults(t *testing.T) {
	config, wrong := parseConfig([]byte(
		`{"issuer": "a", "service": "a", "access": [{"anonymous": true, "repositories": ["**"], "actions": ["pull"]}]}`,
	))
	if wrong != nil || config.Listen != ":5001" || config.LifetimeSeconds != 300 ||
		config.Limits != (Limits{Failures: 20, WindowSeconds: 60, Checks: 2}) {
		t.Errorf("%+v, %v", config, wrong)
	}
}

func TestWhatIsWrongWithAConfigurationIsSaidAtOnce(t *testing.T) {
	for content, want := range map[string][]string{
		`{`:                {"unexpected EOF"},
		`{"isuer": "a"}`:   {`unknown field "isuer"`},
		`{"issuer": 1}`:    {"issuer: a string is needed"},
		rightConfig + `{}`: {"more than one JSON value"},
		`{"listen": "5001", "lifetime_seconds": 59, "trusted_proxies": ["10.0.0.1"],
		  "discovery_seconds": -1,
		  "limits": {"failures": 0, "window_seconds": 0, "checks": 0}}`: {
			"issuer: a name is needed", "service: a name is needed",
			"listen: an address as :5001 is needed", "lifetime_seconds: 60 to 86400 is needed",
			"discovery_seconds: 0 to 600 is needed",
			"limits.failures: 1 to 10000 is needed", "limits.window_seconds: 1 to 86400 is needed",
			"limits.checks: 1 to 256 is needed", `trusted_proxies: "10.0.0.1" is no network as 10.0.0.0/8`,
			"access: a rule is needed",
		},
		`{"issuer": "a", "service": "a", "access": [
		  {"repositories": [""], "actions": []},
		  {"users": ["a:b"], "repositories": ["a b"], "actions": ["pull", "write"]}]}`: {
			"access[0]: users, or anonymous, are needed",
			"access[0].actions: one of pull, push, delete, catalog is needed",
			`access[0].repositories: "" is no pattern of repositories`,
			`access[1].users: "a:b" is no pattern of user names`,
			`access[1].repositories: "a b" is no pattern of repositories`,
			`access[1].actions: "write" is none of pull, push, delete, catalog`,
		},
	} {
		if _, wrong := parseConfig([]byte(content)); !slices.Equal(wrong, want) {
			t.Errorf("%s:\n%s", content, strings.Join(wrong, "\n"))
		}
	}
}

func TestWrongUsersAreNamedByTheirPlaceAndNeverShown(t *testing.T) {
	for content, want := range map[string][]string{
		`[{"user": "", "hash": "hunter2"}, {"user": "a:b", "hash": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}]`: {
			"[0].user: a name without spaces and colons is needed",
			"[0].hash: no hash of bcrypt ($2b$), Apache's MD5 ($apr1$) or {SHA}",
			"[1].user: a name without spaces and colons is needed",
		},
		`[{"user": "a", "hash": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "until": "hunter2"}]`: {
			"until: a time as 2026-11-27T10:00:00Z is needed",
		},
		`[{"user": "a", "hash": 2}]`: {"hash: a string is needed"},
	} {
		_, wrong := parseUsers([]byte(content))
		if !slices.Equal(wrong, want) {
			t.Errorf("%s:\n%s", content, strings.Join(wrong, "\n"))
		}
		if strings.Contains(strings.Join(wrong, ""), "hunter2") {
			t.Errorf("a secret is shown: %s", wrong)
		}
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	for content, want := range map[string]string{
		"":        "no PKCS #8 private key in PEM",
		"hunter2": "no PKCS #8 private key in PEM",
		"-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n": "no PKCS #8 private key",
		keyPEM(t, newKey(t, elliptic.P384())):                                    "no key of the curve P-256",
	} {
		if _, wrong := parseKey([]byte(content)); !slices.Equal(wrong, []string{want}) {
			t.Errorf("%s: %s", content, wrong)
		}
	}
}

func TestAllFilesAreReadBeforeAnErrorIsSaid(t *testing.T) {
	empty := t.TempDir()
	writeFile(t, empty, configFile, `{"isuer": ""}`)
	writeFile(t, empty, usersFile, `{}`)
	_, err := load(empty)
	want := []string{`config.json: unknown field "isuer"`, "users.json: ", "key.pem: no such file"}
	for _, each := range want {
		if err == nil || !strings.Contains(err.Error(), each) {
			t.Errorf("%q isn't in %v", each, err)
		}
	}
	writeFile(t, empty, usersFile, strings.Repeat(" ", maxFile+1))
	if _, err := load(empty); !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{rightConfig, "", "{}", "[]", "null", `{"access": [{"users": ["*"]}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, content []byte) {
		if config, wrong := parseConfig(content); wrong == nil {
			newAccess(config.Access).granted("ci", parseScopes([]string{"repository:team/a:*"}))
		}
		if list, wrong := parseUsers(content); wrong == nil {
			newLogins(list)
		}
		parseKey(content)
	})
}
