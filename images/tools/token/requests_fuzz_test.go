package main

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

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
