package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"registry.local/images/tools/storage"
)

// source hands out the files of a registry to whoever has the token.
type source struct {
	place place
	store *storage.Store // the same as a storage
	name  string         // of the place, for its mark; "" when no mark is needed
	token string
	gate  *gate

	mutex  sync.Mutex
	lacks  string          // why nothing is handed out yet; "" when the storage is locked
	listed map[string]file // what was handed out last
}

// notYet is why nothing is handed out at first.
const notYet = "the storage isn't locked yet"

// about is what a copier has to know of a source.
type about struct {
	Times    bool   `json:"times"`    // its files have times that a copy may keep
	Registry string `json:"registry"` // of its mark; "" without one
}

// handler returns the answers to a copy.
func (s *source) handler() http.Handler {
	answers := http.NewServeMux()
	answers.HandleFunc("GET /about", s.about(readMark))
	answers.HandleFunc("POST /mark", s.about(marked))
	answers.HandleFunc("GET /files", s.files)
	answers.HandleFunc("GET /changes", s.changes)
	answers.HandleFunc("GET /file", s.read)
	answers.HandleFunc("GET /pushes", s.pushes)
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

func (s *source) about(
	registry func(context.Context, place, string) (string, error),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if s.lacks != "" {
			status := http.StatusLocked
			if s.lacks == notYet {
				status = http.StatusServiceUnavailable
			}
			http.Error(w, s.lacks, status)
			return
		}
		answer := about{Times: s.place.keepsTimes()}
		if s.name != "" {
			var err error
			if answer.Registry, err = registry(r.Context(), s.place, s.name); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		json.NewEncoder(w).Encode(answer)
	}
}

// list returns all files, with their content if the request asks for it.
func (s *source) list(r *http.Request) (map[string]file, error) {
	all, err := s.place.list(r.Context())
	if err == nil && r.URL.Query().Has("content") {
		err = withContent(r.Context(), s.place, all)
	}
	return all, err
}

func (s *source) files(w http.ResponseWriter, r *http.Request) {
	all, err := s.list(r)
	if err == nil {
		s.mutex.Lock()
		s.listed = all
		s.mutex.Unlock()
	}
	send(w, all, err)
}

// changes hands out those files that are new, or other ones, since all were handed out.
func (s *source) changes(w http.ResponseWriter, r *http.Request) {
	all, err := s.list(r)
	s.mutex.Lock()
	before := s.listed
	s.mutex.Unlock()
	for path, each := range all {
		old, ok := before[path]
		if ok && old.Size == each.Size && old.Time.Equal(each.Time) && bytes.Equal(old.Content, each.Content) {
			delete(all, path)
			continue
		}
		each.Before = old.Content
		all[path] = each
	}
	send(w, all, err)
}

// pushes hands out when each tag was pushed.
func (s *source) pushes(w http.ResponseWriter, r *http.Request) {
	times, err := s.store.PushTimes(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	json.NewEncoder(w).Encode(times)
}

func send(w http.ResponseWriter, all map[string]file, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	lines := json.NewEncoder(w)
	for _, each := range all {
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
	content, err := s.place.open(r.Context(), r.URL.Query().Get("path"))
	if errors.Is(err, errGone) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := io.Copy(w, content); err != nil {
		panic(http.ErrAbortHandler) // so that nobody takes it for whole
	}
}

// lock keeps collections and backups away from the storage until ctx ends; released is closed once it is
// free again. Until nobody else has it, nothing is handed out.
func (s *source) lock(ctx context.Context) (released chan struct{}) {
	released = make(chan struct{})
	s.lacks = notYet
	go func() {
		defer close(released)
		for ctx.Err() == nil {
			held, release, err := storage.Lock(ctx, "a move", storage.RegistryLock(s.store))
			if err == nil {
				s.allow("")
				<-held.Done()
				release()
				continue // somebody broke the lock, unless ctx has ended
			}
			s.allow(err.Error())
			storage.Pause(ctx, time.Second)
		}
	}()
	return released
}

func (s *source) allow(lacks string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.lacks = lacks
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
