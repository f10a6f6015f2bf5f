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
	if _, err := s.copier.tell(context.Background(), "close"); err != nil {
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
	came, err := s.copier.tell(context.Background(), "open")
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
	gate := httptest.NewServer(newGate(&url.URL{Scheme: "http", Host: address}, time.Minute, 0))
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
