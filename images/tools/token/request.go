package main

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// request is what a client asks for, however it asks.
type request struct {
	user, password string
	hasLogin       bool
	service        string
	scopes         []scope
}

// failure is an answer other than a token.
type failure struct {
	status      int
	code        string // Of the registry's API.
	oauth       string // RFC 6749, 5.2.
	description string
	after       time.Duration // When to try again.
	realm       string
}

// result names the failure in the audit log.
func (f *failure) result() string {
	switch f.status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusTooManyRequests:
		return "limited"
	case http.StatusInternalServerError:
		return "failed"
	}
	return "invalid"
}

var unsigned = &failure{
	status: http.StatusInternalServerError, code: "UNKNOWN", oauth: "server_error",
	description: "no token can be signed",
}

func badRequest(oauth, form string, values ...any) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "UNSUPPORTED", oauth: oauth,
		description: fmt.Sprintf(form, values...),
	}
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *failure) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("invalid_request", "application/x-www-form-urlencoded is needed")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		wrong := badRequest("invalid_request", "no form")
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			wrong.status = http.StatusRequestEntityTooLarge
		}
		return nil, wrong
	}
	if grant := r.PostForm.Get("grant_type"); grant != "password" {
		return nil, badRequest("unsupported_grant_type", "grant_type must be password")
	}
	return r.PostForm, nil
}
