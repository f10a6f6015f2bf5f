package main

import (
	"net/http"
	"testing"
)

func TestEachRequestHasAConnectionOfItsOwn(t *testing.T) {
	address, _ := listening(t, folder(t))
	for _, path := range []string{healthPath, tokenPath, registryPath} {
		request, _ := http.NewRequest("GET", address+path, nil)
		request.Host = "a"
		answered, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		if !answered.Close {
			t.Errorf("%s: the connection is kept", path)
		}
	}
}

func TestNoConnectionToATaskIsUsedTwice(t *testing.T) {
	p := newPassing(t)
	connections := map[string]bool{}
	address := task(t, func(r *http.Request) error {
		connections[r.RemoteAddr] = true
		return nil
	})
	p.run(address)
	before := len(connections)
	for range 5 {
		p.ask("GET", "/v2/team/app/manifests/1", "ci")
	}
	if len(connections) != before+5 {
		t.Error(connections)
	}
}
