package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Files of the server, in one folder. Each is read again when it changes.
const (
	configFile = "config.json" // No secret in it.
	usersFile  = "users.json"
	keyFile    = "key.pem" // EC P-256, PKCS #8.
)

// Config is what stands in config.json.
type Config struct {
	Issuer          string   `json:"issuer"`
	Service         string   `json:"service"`
	Listen          string   `json:"listen"`
	LifetimeSeconds int      `json:"lifetime_seconds"`
	Access          []Rule   `json:"access"`
	Limits          Limits   `json:"limits"`
	TrustedProxies  []string `json:"trusted_proxies"`
	// DiscoverySeconds is how long the server serves on after SIGTERM: Traefik hasn't noticed yet.
	DiscoverySeconds int `json:"discovery_seconds"`
	// DrainSeconds is how long requests under way may take to end then.
	DrainSeconds int `json:"drain_seconds"`
	// Registries that ask for tokens, or will: addresses by host name. They are read at start alone.
	Registries map[string]string `json:"registries"`

	proxies []netip.Prefix
}

func defaults() Config {
	return Config{
		Listen:          ":5001",
		LifetimeSeconds: 300,
		DrainSeconds:    8,
		Limits:          Limits{Failures: 20, WindowSeconds: 60, Checks: 2},
	}
}

const (
	maxFile     = 4 << 20
	maxUserName = 128
)

var (
	userPattern       = regexp.MustCompile(`\A[^\x00-\x20\x7f:]+\z`)
	repositoryPattern = regexp.MustCompile(`\A[A-Za-z0-9._/:*-]+\z`)
	actions           = append(slices.Clone(repositoryActions), catalog)
)

// settings are all that the files say.
type settings struct {
	config Config
	access access
	logins logins
	signer *signer
}

// load reads the files of a folder. The error has a line for each thing that is wrong.
func load(folder string) (*settings, error) {
	config, wrongConfig := read(folder, configFile, parseConfig)
	list, wrongUsers := read(folder, usersFile, parseUsers)
	key, wrongKey := read(folder, keyFile, parseKey)
	if err := errors.Join(wrongConfig, wrongUsers, wrongKey); err != nil {
		return nil, err
	}
	signer, err := newSigner(key, config)
	if err != nil {
		return nil, err
	}
	return &settings{config, newAccess(config.Access), newLogins(list), signer}, nil
}

func read[T any](folder, name string, parse func([]byte) (T, []string)) (value T, err error) {
	content, err := readFile(filepath.Join(folder, name))
	if err != nil {
		return value, err
	}
	value, wrong := parse(content)
	var lines []error
	for _, line := range wrong {
		lines = append(lines, fmt.Errorf("%s: %s", name, line))
	}
	return value, errors.Join(lines...)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return content, err
}

// decode reads JSON that has no other fields than `value`.
func decode(content []byte, value any) []string {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		// A value could be a secret.
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return []string{fmt.Sprintf("%s: a %s is needed", wrong.Field, wrong.Type)}
		}
		if wrong := (*time.ParseError)(nil); errors.As(err, &wrong) {
			return []string{"until: a time as 2026-11-27T10:00:00Z is needed"}
		}
		return []string{strings.TrimPrefix(err.Error(), "json: ")}
	}
	if decoder.More() {
		return []string{"more than one JSON value"}
	}
	return nil
}

func parseConfig(content []byte) (Config, []string) {
	config := defaults()
	wrong := decode(content, &config)
	if wrong != nil {
		return config, wrong
	}
	need := func(right bool, form string, values ...any) {
		if !right {
			wrong = append(wrong, fmt.Sprintf(form, values...))
		}
	}
	need(config.Issuer != "", "issuer: a name is needed")
	need(config.Service != "", "service: a name is needed")
	_, _, err := net.SplitHostPort(config.Listen)
	need(err == nil, "listen: an address as :5001 is needed")
	within := func(name string, value, least, most int) {
		need(value >= least && value <= most, "%s: %d to %d is needed", name, least, most)
	}
	// Clients take less than a minute for a minute.
	within("lifetime_seconds", config.LifetimeSeconds, 60, 86400)
	within("discovery_seconds", config.DiscoverySeconds, 0, 600)
	within("drain_seconds", config.DrainSeconds, 1, 3600)
	for host, address := range config.Registries {
		name, port, err := net.SplitHostPort(address)
		need(err == nil && name != "" && port != "",
			"registries.%s: an address as registry:5000 is needed", host)
	}
	within("limits.failures", config.Limits.Failures, 1, 10000)
	within("limits.window_seconds", config.Limits.WindowSeconds, 1, 86400)
	within("limits.checks", config.Limits.Checks, 1, 256)
	for _, text := range config.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		need(err == nil, "trusted_proxies: %q is no network as 10.0.0.0/8", text)
		config.proxies = append(config.proxies, prefix)
	}
	need(len(config.Access) > 0, "access: a rule is needed")
	for number, rule := range config.Access {
		at := fmt.Sprintf("access[%d]", number)
		need(rule.Anonymous || len(rule.Users) > 0, "%s: users, or anonymous, are needed", at)
		need(len(rule.Actions) > 0, "%s.actions: one of %s is needed", at, strings.Join(actions, ", "))
		for _, user := range rule.Users {
			need(userPattern.MatchString(user), "%s.users: %q is no pattern of user names", at, user)
		}
		for _, name := range rule.Repositories {
			need(repositoryPattern.MatchString(name),
				"%s.repositories: %q is no pattern of repositories", at, name)
		}
		for _, action := range rule.Actions {
			need(slices.Contains(actions, action),
				"%s.actions: %q is none of %s", at, action, strings.Join(actions, ", "))
		}
	}
	return config, wrong
}

func parseUsers(content []byte) ([]Login, []string) {
	var list []Login
	wrong := decode(content, &list)
	if wrong != nil {
		return nil, wrong
	}
	for number, login := range list {
		at := fmt.Sprintf("[%d]", number)
		if !userPattern.MatchString(login.User) || len(login.User) > maxUserName {
			wrong = append(wrong, at+".user: a name without spaces and colons is needed")
		}
		if _, err := cost(login.Hash); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s.hash: %v", at, err))
		}
	}
	return list, wrong
}

func parseKey(content []byte) (*ecdsa.PrivateKey, []string) {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, []string{"no PKCS #8 private key in PEM"}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, []string{"no PKCS #8 private key"}
	}
	key, right := parsed.(*ecdsa.PrivateKey)
	if !right || key.Curve != elliptic.P256() {
		return nil, []string{"no key of the curve P-256"}
	}
	return key, nil
}

// changed returns a function that says whether a file of the folder has changed since it was called
// last.
func changed(folder string) func() bool {
	look := func() (now [3]string) {
		for at, name := range []string{configFile, usersFile, keyFile} {
			if info, err := os.Stat(filepath.Join(folder, name)); err == nil {
				now[at] = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
			}
		}
		return now
	}
	before := look()
	return func() bool {
		now := look()
		defer func() { before = now }()
		return now != before
	}
}
