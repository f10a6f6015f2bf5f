package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// file is a file of the registry's folder.
type file struct {
	Path string    `json:"path"` // below the folder, with slashes
	Size int64     `json:"size"`
	Time time.Time `json:"time"` // of its last change
}

// isLeft says what stays where it is: the lock of a clean-up belongs to a process over there.
func isLeft(path string) bool { return path == "docker/registry/trash/lock.json" }

// files returns the files below root by path. What goes while it looks is left out.
func files(root string) (map[string]file, error) {
	found := map[string]file{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if below = filepath.ToSlash(below); !isLeft(below) {
			found[below] = file{below, info.Size(), info.ModTime()}
		}
		return nil
	})
	return found, err
}

// source hands out the files of a registry's folder to whoever has the token.
type source struct {
	folder *os.Root
	token  string
	gate   *gate
}

// handler returns the answers to a copy on another node.
func (s *source) handler() http.Handler {
	answers := http.NewServeMux()
	answers.HandleFunc("GET /files", s.list)
	answers.HandleFunc("GET /file", s.read)
	answers.HandleFunc("POST /close", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(s.gate.close(r.Context()))
	})
	answers.HandleFunc("POST /open", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(s.gate.open())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization")
		if subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+s.token)) != 1 {
			http.Error(w, "the token is missing, or another one", http.StatusUnauthorized)
			return
		}
		answers.ServeHTTP(w, r)
	})
}

func (s *source) list(w http.ResponseWriter, _ *http.Request) {
	there, err := files(s.folder.Name())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	lines := json.NewEncoder(w)
	for _, each := range there {
		if isDraft(each.Path) {
			continue // of a move to here that was killed
		}
		if lines.Encode(each) != nil {
			return
		}
	}
	lines.Encode(file{}) // the end: without it the list isn't whole
}

func (s *source) read(w http.ResponseWriter, r *http.Request) {
	opened, err := s.folder.Open(filepath.FromSlash(r.URL.Query().Get("path")))
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "it is gone", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, "it isn't a file", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Time", strconv.FormatInt(info.ModTime().UnixNano(), 10))
	http.ServeContent(w, r, "", time.Time{}, opened)
}

// serve hands out the files and keeps the gate until SIGTERM; then it lets those that wait go on, and
// serves until Traefik has noticed and no request is under way.
func serve(ctx context.Context, s *source, with settings, log *slog.Logger) error {
	answers := map[string]http.Handler{with.files: s.handler()}
	for here, there := range with.gates {
		answers[here] = s.gate.before(there)
	}
	var servers []*http.Server
	for address, handler := range answers {
		servers = append(servers, &http.Server{
			Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		})
	}
	failed := make(chan error, len(servers))
	for _, server := range servers {
		go func() { failed <- server.ListenAndServe() }()
	}
	log.Info("serving")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.gate.open()
	time.Sleep(with.notice)
	rest, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	for _, server := range servers {
		server.Shutdown(rest)
	}
	return nil
}
