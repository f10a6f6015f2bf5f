// Package schedule reads cron lines and keeps to them.
package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // for TZ, which schedules go by
)

// Schedule is the five fields of a cron line: minute, hour, day of the month, month, day of the week.
type Schedule struct {
	fields        [5]map[int]bool
	daysRestrict  bool // the field of days isn't *
	weeksRestrict bool // nor that of days of the week
}

var ranges = [5]struct {
	name       string
	from, upTo int
}{{"minute", 0, 59}, {"hour", 0, 23}, {"day", 1, 31}, {"month", 1, 12}, {"day of the week", 0, 7}}

// Parse reads lines such as "0 4 * * *" and "*/15 8-18 * * 1-5".
func Parse(line string) (Schedule, error) {
	var s Schedule
	words := strings.Fields(line)
	if len(words) != 5 {
		return s, fmt.Errorf("schedule %q: write five fields, such as \"0 4 * * *\"", line)
	}
	for i, word := range words {
		s.fields[i] = map[int]bool{}
		for _, part := range strings.Split(word, ",") {
			if err := s.add(i, part); err != nil {
				return s, fmt.Errorf("schedule %q: %s %q: %w", line, ranges[i].name, part, err)
			}
		}
	}
	s.fields[4][0] = s.fields[4][0] || s.fields[4][7] // both are Sunday
	s.daysRestrict = !strings.HasPrefix(words[2], "*")
	s.weeksRestrict = !strings.HasPrefix(words[4], "*")
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return s, fmt.Errorf("schedule %q: there is no such day", line)
	}
	return s, nil
}

// add adds one part of a list: *, 5, 1-5, and any of these with /STEP.
func (s *Schedule) add(field int, part string) error {
	span, every, stepped := strings.Cut(part, "/")
	from, upTo, step := ranges[field].from, ranges[field].upTo, 1
	var err error
	if stepped {
		if step, err = strconv.Atoi(every); err != nil || step < 1 {
			return fmt.Errorf("write a number of at least 1 after the /")
		}
	}
	if span != "*" {
		first, last, isRange := strings.Cut(span, "-")
		if from, err = strconv.Atoi(first); err != nil {
			return fmt.Errorf("write a number, a range or *")
		}
		if isRange {
			if upTo, err = strconv.Atoi(last); err != nil {
				return fmt.Errorf("write a number after the -")
			}
		} else if !stepped {
			upTo = from
		}
	}
	if from < ranges[field].from || upTo > ranges[field].upTo || from > upTo {
		return fmt.Errorf("write %d to %d", ranges[field].from, ranges[field].upTo)
	}
	for value := from; value <= upTo; value += step {
		s.fields[field][value] = true
	}
	return nil
}

// Next returns the first minute after t that the schedule names; the zero time if none does.
func (s Schedule) Next(t time.Time) time.Time {
	t = t.Truncate(time.Minute).Add(time.Minute)
	for limit := t.AddDate(9, 0, 0); t.Before(limit); { // 29 February may be 8 years away
		if !s.fields[3][int(t.Month())] || !s.onDay(t) {
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, t.Location())
			continue
		}
		if s.fields[1][t.Hour()] && s.fields[0][t.Minute()] {
			return t
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}
}

// onDay returns whether the schedule names a day; of both fields of days, one is enough.
func (s Schedule) onDay(t time.Time) bool {
	day, week := s.fields[2][t.Day()], s.fields[4][int(t.Weekday())]
	if s.daysRestrict && s.weeksRestrict {
		return day || week
	}
	return day && week
}

// Serve calls job at the schedule's times until ctx ends. The line that it logs before each has how the
// last run ended, by `last`: what logged it then may be gone by now.
func (s Schedule) Serve(
	ctx context.Context, log *slog.Logger, last func(context.Context) any, job func(context.Context) error,
) {
	var failure error
	for ctx.Err() == nil {
		next := s.Next(time.Now())
		waiting := log.With("until", next.Format(time.RFC3339))
		if run := last(ctx); run != nil {
			waiting = waiting.With("last_run", run)
		}
		if failure != nil {
			waiting = waiting.With("error", failure.Error())
		}
		waiting.Info("waiting")
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		if failure = job(ctx); failure != nil && ctx.Err() == nil {
			log.Error(failure.Error())
		}
	}
}
