package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// listening runs the server of a folder until the test ends, and returns its address.
func listening(t *testing.T, folder string, arguments ...string) (string, *process) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	config := strings.Replace(rightConfig, "127.0.0.1:0", address, 1)
	config = strings.Replace(config, "{", `{"discovery_seconds": 1,`, 1)
	writeFile(t, folder, configFile, config)
	running := start(t, append([]string{"-folder", folder}, arguments...)...)
	eventually(t, func() bool {
		answered, err := http.Get("http://" + address + healthPath)
		if err == nil {
			answered.Body.Close()
		}
		return err == nil && answered.StatusCode == 200
	})
	return "http://" + address, running
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it doesn't come")
		}
	}
}

func TestTheProgramServesReloadsAndEnds(t *testing.T) {
	folder := folder(t)
	address, running := listening(t, folder)
	if code, errors := execute("healthcheck", "-folder", folder); code != 0 {
		t.Error(errors)
	}
	login := func(password string) int {
		request, _ := http.NewRequest("GET", address+tokenPath, nil)
		request.SetBasicAuth("dev", password)
		answered, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		return answered.StatusCode
	}
	if login("dev") != 401 {
		t.Error("nobody is dev")
	}
	users, _ := json.Marshal([]Login{{User: "dev", Hash: cheap(t, "dev")}})
	writeFile(t, folder, usersFile, string(users))
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"reloaded"`) })
	if login("dev") != 200 {
		t.Error("dev isn't there after the change")
	}
	writeFile(t, folder, usersFile, "[")
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"not reloaded"`) })
	if login("dev") != 200 {
		t.Error("a wrong file counts")
	}
	running.signal()
	eventually(t, func() bool { return strings.Contains(running.output(), `"event":"stopping"`) })
	if login("dev") != 200 {
		t.Error("nobody answers while Traefik still knows the task")
	}
	if code := running.stop(); code != 0 {
		t.Errorf("it ends with %d: %s", code, running.output())
	}
	if !strings.Contains(running.output(), `"event":"stopped"`) {
		t.Error(running.output())
	}
	if code, errors := execute("healthcheck", "-folder", folder); code != 1 || errors == "" {
		t.Errorf("%d: %s", code, errors)
	}
}

func TestARequestThatHasBegunIsAnsweredAfterSIGTERM(t *testing.T) {
	folder := folder(t)
	address, running := listening(t, folder)
	connection, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST ", tokenPath, " HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n",
		"Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n")
	text := make([]byte, 25)
	if _, err := io.ReadFull(connection, text); err != nil || !strings.Contains(string(text), "100 Continue") {
		t.Fatalf("%q, %v", text, err)
	}
	running.signal()
	time.Sleep(100 * time.Millisecond)
	fmt.Fprint(connection, "grant_type=password")
	rest, _ := io.ReadAll(connection)
	if !strings.Contains(string(rest), "401 Unauthorized") {
		t.Errorf("%q", rest)
	}
	if code := running.stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}

func TestWrongFilesAreNamedALineEach(t *testing.T) {
	folder := folder(t)
	if code, errors := execute("check", "-folder", folder); code != 0 || errors != "" {
		t.Errorf("%d: %s", code, errors)
	}
	writeFile(t, folder, configFile, "{}")
	writeFile(t, folder, keyFile, "")
	want := []string{
		"registry-token: config.json: issuer: a name is needed",
		"registry-token: config.json: service: a name is needed",
		"registry-token: config.json: access: a rule is needed",
		"registry-token: key.pem: no PKCS #8 private key in PEM", "",
	}
	for _, command := range []string{"check", "serve"} {
		code, errors := execute(command, "-folder", folder)
		if code != 1 || !slices.Equal(strings.Split(errors, "\n"), want) {
			t.Errorf("%s: %d\n%s", command, code, errors)
		}
	}
	for _, arguments := range [][]string{{"other"}, {"-other"}, {"serve", "more"}} {
		if code, errors := execute(arguments...); code != 2 || !strings.Contains(errors, "usage") {
			t.Errorf("%s: %d, %s", arguments, code, errors)
		}
	}
}

func execute(arguments ...string) (int, string) {
	var errors bytes.Buffer
	return run(arguments, io.Discard, &errors), errors.String()
}
