package schedule

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSchedules(t *testing.T) {
	at := func(s string) time.Time {
		moment, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for line, want := range map[string]string{
		"0 4 * * *":       "2026-11-27 04:00",
		"*/15 8-18 * * *": "2026-11-26 10:45",
		"30 10,12 * * *":  "2026-11-26 12:30",
		"0 0 1 * *":       "2026-12-01 00:00",
		"0 0 29 2 *":      "2028-02-29 00:00",
		"0 3 * * 0":       "2026-11-29 03:00",
		"0 3 * * 7":       "2026-11-29 03:00",
		"0 3 13 * 5":      "2026-11-27 03:00", // either day
		"5/20 * * * *":    "2026-11-26 10:45",
		"31 10 26 11 4":   "2026-11-26 10:31",
	} {
		s, err := Parse(line)
		if err != nil {
			t.Error(err)
		} else if next := s.Next(at("2026-11-26 10:30")); !next.Equal(at(want)) {
			t.Errorf("%s: %s, not %s", line, next, want)
		}
	}
	for _, line := range []string{
		"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "0 0 31 2 *", "a * * * *",
		"*/0 * * * *", "5-1 * * * *", "1-x * * * *", "* * * * * *",
	} {
		if _, err := Parse(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("*/15 8-18 1,2 * 1-5")
	f.Fuzz(func(t *testing.T, line string) {
		now := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
		if s, err := Parse(line); err == nil && !s.Next(now).After(now) {
			t.Errorf("%q: %s", line, s.Next(now))
		}
	})
}

func TestHowTheLastRunEndedIsInTheLogWhileItWaits(t *testing.T) {
	s, err := Parse("0 4 * * *")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	last := func(context.Context) any {
		stop() // the first wait is the only one
		return map[string]string{"error": "the disk is full"}
	}
	var out bytes.Buffer
	s.Serve(ctx, slog.New(slog.NewJSONHandler(&out, nil)), last, func(context.Context) error {
		t.Error("it runs after its end")
		return nil
	})
	wanted := `"msg":"waiting","until":"2`
	if !strings.Contains(out.String(), wanted) || !strings.Contains(out.String(), "the disk is full") {
		t.Error(out.String())
	}
}
