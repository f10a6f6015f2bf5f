package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnUploadThatGoesOnKeepsNobodyWaiting(t *testing.T) {
	s := newSides(t, nil)
	upload := "docker/registry/v2/repositories/a/_uploads/1/data"
	stop, stopped := make(chan bool), make(chan bool)
	write(t, s.from, upload, "", 0)
	go func() {
		defer close(stopped)
		for text := "x"; ; text += "x" {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				os.WriteFile(filepath.Join(s.from, upload), []byte(text), 0o644)
			}
		}
	}()
	write(t, s.from, link, "sha256:1", 0)
	_, waited, err := s.copier.rest(context.Background(), 0)
	close(stop)
	<-stopped
	if err != nil || waited.UnderWay != 0 || read(s.to, link) == "" {
		t.Fatalf("%+v, %v", waited, err)
	}
}

func TestWritesWaitAtTheGateAndGoOn(t *testing.T) {
	hosts := make(chan string, 3)
	s := newSides(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hosts <- r.Host + " " + r.Header.Get("X-Forwarded-Proto") + " " + string(body)
		w.WriteHeader(http.StatusCreated)
	})
	answers := make(chan int, 1)
	put := func() {
		request, _ := http.NewRequest(http.MethodPut, s.writes.URL+"/v2/", strings.NewReader("body"))
		request.Host = "registry.example.com"
		request.Header.Set("X-Forwarded-Proto", "https")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			answers <- 0
			return
		}
		answer.Body.Close()
		answers <- answer.StatusCode
	}
	put()
	if <-answers != http.StatusCreated || <-hosts != "registry.example.com https body" {
		t.Fatal("an open gate doesn't lead to the registry as Traefik does")
	}
	var came pause
	if err := s.copier.tell(context.Background(), http.MethodPost, "/close", &came); err != nil {
		t.Fatal(err)
	}
	read, err := http.Get(s.writes.URL + "/v2/")
	if err != nil || read.StatusCode != http.StatusCreated {
		t.Fatalf("a closed gate answers a read with %v, %v", read, err)
	}
	<-hosts
	go put()
	select {
	case code := <-answers:
		t.Fatalf("a closed gate answers %d", code)
	case <-time.After(200 * time.Millisecond):
	}
	err = s.copier.tell(context.Background(), http.MethodPost, "/open", &came)
	if err != nil || came.Expired || came.Seconds < 0.2 {
		t.Fatalf("opened: %+v, %v", came, err)
	}
	if code := <-answers; code != http.StatusCreated {
		t.Fatalf("what waited got %d", code)
	}
}

func TestAClosingGateWaitsForWhatIsUnderWay(t *testing.T) {
	begun, end := make(chan bool), make(chan bool)
	s := newSides(t, func(http.ResponseWriter, *http.Request) { begun <- true; <-end })
	go http.Post(s.writes.URL, "", nil)
	<-begun
	closed := make(chan pause, 1)
	go func() { closed <- s.gate.close(context.Background()) }()
	select {
	case <-closed:
		t.Fatal("closed, with a request under way")
	case <-time.After(100 * time.Millisecond):
	}
	end <- true
	if came := <-closed; came.UnderWay != 0 {
		t.Fatalf("closed: %+v", came)
	}
}

func TestAReadWaitsForTheRegistryToBeThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody is there
	gate := httptest.NewServer(newGate(time.Minute, 0).before(&url.URL{Scheme: "http", Host: address}))
	defer gate.Close()
	registry := &http.Server{Addr: address, Handler: http.NotFoundHandler()}
	defer registry.Close()
	time.AfterFunc(300*time.Millisecond, func() { registry.ListenAndServe() })
	if answer, err := http.Get(gate.URL); err != nil || answer.StatusCode != http.StatusNotFound {
		t.Fatalf("%v, %v", answer, err)
	}
}

func TestAGateThatIsForgottenOpens(t *testing.T) {
	s := newSides(t, nil)
	s.gate.limit = 50 * time.Millisecond
	s.gate.close(context.Background())
	if answer, err := http.Post(s.writes.URL, "", nil); err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v, %v", answer, err)
	}
	if came := s.gate.open(); !came.Expired {
		t.Fatal("nobody learns that it opened by itself")
	}
}

func TestWritesWaitOnEachSideOfTheGate(t *testing.T) {
	s := newSides(t, nil)
	arrived := make(chan string, 1)
	tokenServer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		arrived <- user + " " + r.Header.Get("X-Forwarded-For")
	}))
	defer tokenServer.Close()
	address, _ := url.Parse(tokenServer.URL)
	logins := httptest.NewServer(s.gate.before(address))
	defer logins.Close()
	s.gate.close(context.Background())
	go func() {
		request, _ := http.NewRequest(http.MethodPut, logins.URL+"/v2/", strings.NewReader("body"))
		request.SetBasicAuth("ann", "secret")
		request.Header.Set("X-Forwarded-For", "9.9.9.9")
		http.DefaultClient.Do(request)
	}()
	select {
	case <-arrived:
		t.Fatal("a write with a password passes a closed gate")
	case <-time.After(200 * time.Millisecond):
	}
	s.gate.open()
	if got := <-arrived; got != "ann 9.9.9.9" {
		t.Fatalf("the token server gets %q", got)
	}
}

func TestAReadComesBackWhereTheTokenServerSaysSo(t *testing.T) {
	for _, each := range []struct {
		method, later string
		code, asked   int
	}{
		{http.MethodGet, "5", http.StatusOK, 3},
		{http.MethodPut, "5", http.StatusServiceUnavailable, 1},
		{http.MethodGet, "", http.StatusServiceUnavailable, 1},
	} {
		asked := 0
		s := newSides(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked < 3 {
				w.Header().Set("Retry-After", each.later)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		request, _ := http.NewRequest(each.method, s.writes.URL+"/v2/", nil)
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.StatusCode != each.code || asked != each.asked {
			t.Fatalf("%+v: asked %d times: %v, %v", each, asked, answer, err)
		}
	}
}

func TestAGateIsAnAddressAndWhatItLeadsTo(t *testing.T) {
	given := gates{}
	if err := given.Set(":5001=http://images_registry:5000"); err != nil {
		t.Fatal(err)
	}
	if given[":5001"].Host != "images_registry:5000" {
		t.Fatalf("%v", given)
	}
	for _, wrong := range []string{"", ":5001", ":5001=", "=http://a", ":5001=images_registry"} {
		if err := given.Set(wrong); err == nil {
			t.Errorf("%q is a gate", wrong)
		}
	}
}
