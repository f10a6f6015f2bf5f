package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
)

func TestAProgramThatRunsIsHealthy(t *testing.T) {
	const program = "command-test"
	if Healthy(program) == nil {
		t.Error("healthy before it runs")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	Answer(ctx, program, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := Healthy(program); err != nil {
		t.Error(err)
	}
}

func TestAnExitCodeTellsASignalFromAFailure(t *testing.T) {
	ended, stop := context.WithCancel(context.Background())
	stop()
	for _, one := range []struct {
		ctx  context.Context
		err  error
		code int
	}{
		{context.Background(), nil, Done},
		{ended, nil, Done},
		{context.Background(), errors.New("the disk is full"), Failed},
		{ended, errors.New("as a driver calls it"), Interrupted},
	} {
		log, err := Log("text", &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if code := ExitCode(one.ctx, one.err, log); code != one.code {
			t.Errorf("%v: %d", one.err, code)
		}
	}
}

func TestArgumentsAreInFrontOfTheFlags(t *testing.T) {
	positional, rest := Positional([]string{"a", "b", "c", "--d"}, 2)
	if !slices.Equal(positional, []string{"a", "b"}) || !slices.Equal(rest, []string{"c", "--d"}) {
		t.Errorf("%v, %v", positional, rest)
	}
	if positional, _ := Positional([]string{"--d", "a"}, 1); positional != nil {
		t.Errorf("%v", positional)
	}
}
