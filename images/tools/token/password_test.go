package main

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// cheap is a hash of the least cost, for tests.
func cheap(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestHashesOfOtherPrograms(t *testing.T) {
	for hash, password := range map[string]string{
		// openssl passwd -apr1
		"$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/": "secret",
		"$apr1$12345678$lOWRuMyXctZmAsxch9OY31": "aVeryLongPasswordOfMoreThanSixteenBytes",
		"$apr1$x$tMwYqBfQwi3FYAr0aJc8M/":        "",
		"$apr1$abc$8k5B6cLc3Z.WLu8YSkSth/":      strings.Repeat("a", 100),
		// htpasswd -B, and Python's bcrypt; the same but for the letter.
		"$2y$05$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W": "baggins",
		"$2b$05$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W": "baggins",
		"$2a$05$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W": "baggins",
		// htpasswd -s
		"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=": "secret",
	} {
		if _, err := cost(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		if !matches(hash, password) {
			t.Errorf("%s isn't %q", hash, password)
		}
		if matches(hash, password+"x") {
			t.Errorf("%s is %q, too", hash, password+"x")
		}
	}
}

func TestOtherHashesAreRefused(t *testing.T) {
	for _, hash := range []string{
		"", "secret", "$1$abc$def", "$apr1$abcdefghi$h9FWgUz3n9YxylKLlR5SQ/", "{SHA}short=",
		"$2y$03$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W",
		"$2y$31$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W",
		"$2x$05$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W",
		"$2y$05$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5",
	} {
		if _, err := cost(hash); err == nil {
			t.Errorf("%q is taken", hash)
		}
	}
}

func TestEachPasswordOfAUserCountsUntilItsTime(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	until := now.Add(time.Hour)
	all := newLogins([]Login{
		{User: "ci", Hash: cheap(t, "new")},
		{User: "ci", Hash: cheap(t, "old"), Until: &until},
		{User: "other", Hash: cheap(t, "theirs")},
	})
	for _, each := range []struct {
		user, password string
		now            time.Time
		right          bool
	}{
		{"ci", "new", now, true},
		{"ci", "old", now, true},
		{"ci", "old", until, true},
		{"ci", "old", until.Add(time.Second), false},
		{"ci", "new", until.Add(time.Second), true},
		{"ci", "theirs", now, false},
		{"ci", "", now, false},
		{"nobody", "new", now, false},
		{"", "", now, false},
	} {
		if right := all.check(each.user, each.password, each.now) != nil; right != each.right {
			t.Errorf("%s, %s, %v: %v", each.user, each.password, each.now, right)
		}
	}
}

// A wrong password must take as long for a user who doesn't exist, or whose hash is a cheap one.
func TestAWrongPasswordIsTheSameWorkForEverybody(t *testing.T) {
	const rounds10 = "$2b$10$926C3y10Quzn/LnqQH86VOEVh/18T6RnLaS.khre96jLNL/7e.K5W"
	all := newLogins([]Login{
		{User: "two", Hash: rounds10}, {User: "two", Hash: strings.Replace(rounds10, "10", "11", 1)},
		{User: "one", Hash: rounds10},
		{User: "apr1", Hash: "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"},
	})
	if all.rounds != 1<<10+1<<11 {
		t.Fatalf("%d rounds", all.rounds)
	}
	var done int
	compare = func(hash, _ []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		done += 1 << cost
		return bcrypt.ErrMismatchedHashAndPassword
	}
	t.Cleanup(func() { compare = bcrypt.CompareHashAndPassword })
	for _, user := range []string{"two", "one", "apr1", "nobody", ""} {
		done = 0
		all.check(user, "wrong", time.Now())
		if done != 1<<10+1<<11 {
			t.Errorf("%s costs %d rounds", user, done)
		}
	}
}

func FuzzPasswords(f *testing.F) {
	f.Add("secret", "abcdefgh")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, password, salt string) {
		if len(password) > maxPassword || len(salt) > 8 {
			return
		}
		if hash := apr1(password, salt); len(hash) != len("$apr1$$")+len(salt)+22 {
			t.Error(hash)
		}
	})
}
