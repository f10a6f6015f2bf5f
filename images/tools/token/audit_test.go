package main

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

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

func TestNobodyFillsTheAuditLogWithScopes(t *testing.T) {
	i := newInstance(t)
	long := "repository:team/" + strings.Repeat("a", 200) + ":pull"
	ask := func(user, password string, times int) (map[string]any, int) {
		before := i.log.Len()
		i.get(user, password, strings.Repeat(long+" ", times))
		return i.last(t), i.log.Len() - before
	}
	for _, password := range []string{"ci", "wrong"} {
		line, size := ask("ci", password, 100)
		scopes := line["scopes"].([]any)
		if size > 2*maxLogged || scopes[len(scopes)-1] != fmt.Sprintf("(%d more)", 100-len(scopes)+1) {
			t.Errorf("%d bytes: %v", size, line)
		}
	}
	// What was granted is all there.
	names := ""
	for number := range 20 {
		names += fmt.Sprintf("repository:team/%d%s:pull ", number, strings.Repeat("a", 200))
	}
	i.get("ci", "ci", names)
	if granted := i.last(t)["granted"].([]any); len(granted) != 20 {
		t.Errorf("%v", granted)
	}
}

func TestTheAddressIsTheOneThatTrustedProxiesName(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.168.0.9/32"), netip.MustParsePrefix("fd00::/8")}
	for _, each := range []struct {
		peer, address string
		forwarded     []string
	}{
		{"192.0.2.1:1", "192.0.2.1", nil},
		{"192.0.2.1:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"203.0.113.9, 198.51.100.1"}},
		{"10.0.1.5:1", "198.51.100.1", []string{"203.0.113.9", "198.51.100.1,192.168.0.9"}},
		{"10.0.1.5:1", "10.1.2.3", []string{"10.1.2.3"}},
		// Whoever is on a private network writes what he likes in front, and the proxy his address.
		{"10.0.1.5:1", "10.1.2.3", []string{"203.0.113.9, 10.1.2.3"}},
		{"10.0.1.5:1", "10.1.2.3", []string{"203.0.113.9, 10.1.2.3, 192.168.0.9"}},
		{"10.0.1.5:1", "10.0.1.5", nil},
		{"10.0.1.5:1", "10.0.1.5", []string{"198.51.100.1, unknown"}},
		{"10.0.1.5:1", "2001:db8::1", []string{"2001:db8::1, fd00::5"}},
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
