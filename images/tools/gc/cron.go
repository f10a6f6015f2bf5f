package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// schedule is the five fields of a cron line: minute, hour, day of the month, month, day of the week.
type schedule struct {
	fields        [5]map[int]bool
	daysRestrict  bool // the field of days isn't *
	weeksRestrict bool // nor that of days of the week
}

var ranges = [5]struct {
	name       string
	from, upTo int
}{{"minute", 0, 59}, {"hour", 0, 23}, {"day", 1, 31}, {"month", 1, 12}, {"day of the week", 0, 7}}

// parseSchedule reads lines such as "0 4 * * *" and "*/15 8-18 * * 1-5".
func parseSchedule(line string) (schedule, error) {
	var s schedule
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
	if s.next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return s, fmt.Errorf("schedule %q: there is no such day", line)
	}
	return s, nil
}

// add adds one part of a list: *, 5, 1-5, and any of these with /STEP.
func (s *schedule) add(field int, part string) error {
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

// next returns the first minute after t that the schedule names; the zero time if none does.
func (s schedule) next(t time.Time) time.Time {
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
func (s schedule) onDay(t time.Time) bool {
	day, week := s.fields[2][t.Day()], s.fields[4][int(t.Weekday())]
	if s.daysRestrict && s.weeksRestrict {
		return day || week
	}
	return day && week
}
