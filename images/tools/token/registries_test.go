package main

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestARequestGoesToATaskThatWasThereWhenItBegan(t *testing.T) {
	p := newPassing(t)
	both := []map[string]kind{{p.password: asksPassword}, {p.token: asksToken}}
	p.registry.tasks.Store(&both[0])
	ended := make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
				p.registry.tasks.Store(&both[i%2])
			}
		}
	})
	defer changes.Wait()
	defer close(ended)
	for range 1000 {
		if status, _, _ := p.ask("GET", "/v2/team/app/manifests/1", "ci"); status != http.StatusOK {
			t.Fatal(status, p.last(t))
		}
	}
}

func TestALostTaskDoesNotHideTheOthers(t *testing.T) {
	r := newRegistry("images_registry:5000", newLog(io.Discard), time.Now)
	r.resolve = func(context.Context, string) ([]string, error) {
		return []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, nil
	}
	var answers sync.WaitGroup
	answers.Add(2)
	r.probe = func(_ context.Context, address string) kind {
		if strings.HasPrefix(address, "10.0.0.1:") {
			answers.Wait() // It answers after all others, however they are asked.
			return unknown
		}
		answers.Done()
		return asksToken
	}
	looked := make(chan struct{})
	go func() {
		r.look(context.Background())
		close(looked)
	}()
	select {
	case <-looked:
	case <-time.After(20 * time.Second):
		t.Fatal("the others wait for it")
	}
	if tasks := *r.tasks.Load(); len(tasks) != 2 {
		t.Error(tasks)
	}
}

func TestTheTasksAreKnownBeforeTheFirstRequest(t *testing.T) {
	p := newPassing(t)
	p.registry.resolve = func(context.Context, string) ([]string, error) { return []string{"::1"}, nil }
	p.registry.probe = func(context.Context, string) kind { return asksToken }
	stop, end := context.WithCancel(context.Background())
	defer end()
	p.server.watch(stop)
	if to := p.registry.choose(); to.asks != asksToken || len(to.addresses) != 1 {
		t.Error(to)
	}
}

func TestEachTaskIsAskedOnce(t *testing.T) {
	var hosts []string
	var failure error
	asked := map[string]int{}
	var mutex sync.Mutex
	r := newRegistry("images_registry:5000", newLog(io.Discard), time.Now)
	r.resolve = func(context.Context, string) ([]string, error) { return hosts, failure }
	r.probe = func(_ context.Context, address string) kind {
		mutex.Lock()
		defer mutex.Unlock()
		if asked[address]++; asked[address] == 1 && strings.HasPrefix(address, "10.0.0.2") {
			return unknown
		}
		return asksToken
	}
	look := func() map[string]kind {
		r.look(context.Background())
		return *r.tasks.Load()
	}
	hosts = []string{"10.0.0.1", "10.0.0.2"}
	first := map[string]kind{"10.0.0.1:5000": asksToken}
	if tasks := look(); !maps.Equal(tasks, first) {
		t.Error(tasks)
	}
	both := map[string]kind{"10.0.0.1:5000": asksToken, "10.0.0.2:5000": asksToken}
	for range 2 {
		if tasks := look(); !maps.Equal(tasks, both) {
			t.Error(tasks)
		}
	}
	if !maps.Equal(asked, map[string]int{"10.0.0.1:5000": 1, "10.0.0.2:5000": 2}) {
		t.Error(asked)
	}
	hosts, failure = nil, &net.DNSError{IsTemporary: true}
	if tasks := look(); !maps.Equal(tasks, both) {
		t.Error("an answer that never came:", tasks)
	}
	failure = &net.DNSError{IsNotFound: true}
	if tasks := look(); len(tasks) != 0 {
		t.Error(tasks)
	}
}
