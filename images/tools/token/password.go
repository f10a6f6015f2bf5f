package main

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math/bits"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Login is one password of a user, as a hash. A user may have several: each counts.
type Login struct {
	User  string     `json:"user"`
	Hash  string     `json:"hash"`
	Until *time.Time `json:"until"` // The hash counts no more after it; nil: for ever.
}

const (
	minCost, maxCost = 4, 16
	// usualCost is the work of a check where no user has a bcrypt hash.
	usualCost = 10
)

// compare is where all work of a check is done. A test counts it.
var compare = bcrypt.CompareHashAndPassword

var (
	bcryptForm = regexp.MustCompile(`\A\$2[aby]\$\d\d\$[./0-9A-Za-z]{53}\z`)
	apr1Form   = regexp.MustCompile(`\A\$apr1\$[^$\s]{1,8}\$[./0-9A-Za-z]{22}\z`)
	shaForm    = regexp.MustCompile(`\A\{SHA\}[+/0-9A-Za-z]{27}=\z`)
)

// cost returns that of a bcrypt hash, and 0 for the other, cheap kinds; an error says what is wrong.
func cost(hash string) (int, error) {
	switch {
	case bcryptForm.MatchString(hash):
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost < minCost || cost > maxCost {
			return 0, fmt.Errorf("a bcrypt hash of cost %d to %d is needed", minCost, maxCost)
		}
		return cost, nil
	case apr1Form.MatchString(hash), shaForm.MatchString(hash):
		return 0, nil
	}
	return 0, fmt.Errorf("no hash of bcrypt ($2b$), Apache's MD5 ($apr1$) or {SHA}")
}

// matches says whether a hash is that of the password.
func matches(hash, password string) bool {
	switch {
	case strings.HasPrefix(hash, "$2"):
		return compare([]byte(hash), []byte(password)) == nil
	case strings.HasPrefix(hash, "$apr1$"):
		salt := strings.Split(hash, "$")[2]
		return subtle.ConstantTimeCompare([]byte(hash), []byte(apr1(password, salt))) == 1
	default:
		digest := sha1.Sum([]byte(password))
		text := "{SHA}" + base64.StdEncoding.EncodeToString(digest[:])
		return subtle.ConstantTimeCompare([]byte(hash), []byte(text)) == 1
	}
}

// logins are the passwords of all users.
type logins struct {
	of map[string][]Login
	// rounds of bcrypt that every failed check costs, whoever it is for: the most that a user has.
	rounds uint
	// key of marks, anew for each list of logins: what was right by another list counts no more.
	key []byte
}

func newLogins(list []Login) logins {
	of := map[string][]Login{}
	for _, login := range list {
		of[login.User] = append(of[login.User], login)
	}
	most := uint(1) << usualCost
	for _, mine := range of {
		most = max(most, rounds(mine))
	}
	key := make([]byte, sha256.Size)
	rand.Read(key) // Never fails.
	return logins{of, most, key}
}

func rounds(list []Login) (sum uint) {
	for _, login := range list {
		if cost, _ := cost(login.Hash); cost > 0 {
			sum += 1 << cost
		}
	}
	return sum
}

// check returns the login that the password is right for; nil if there is none. The time that a
// wrong one takes doesn't tell whether the user exists.
func (l logins) check(user, password string, now time.Time) *Login {
	var tried []Login
	for _, login := range l.of[user] {
		if login.Until != nil && now.After(*login.Until) {
			continue
		}
		if matches(login.Hash, password) {
			return &login
		}
		tried = append(tried, login)
	}
	done := rounds(tried)
	work(max(l.rounds, done)-done, password)
	return nil
}

// mark stands for a login in the memory of right ones; no password can be read from it.
func (l logins) mark(source, user, password string) (mark [sha256.Size]byte) {
	code := hmac.New(sha256.New, l.key)
	fmt.Fprintf(code, "%d %s %d %s %s", len(source), source, len(user), user, password)
	code.Sum(mark[:0])
	return mark
}

// work runs bcrypt for a number of rounds: a cost for each bit that is set.
func work(rounds uint, password string) {
	for rest := rounds; rest != 0; rest &= rest - 1 {
		cost := max(bits.TrailingZeros(rest), minCost)
		hash := fmt.Sprintf("$2b$%02d$%s", cost, strings.Repeat(".", 53))
		_ = compare([]byte(hash), []byte(password))
	}
}

const (
	apr1Prefix   = "$apr1$"
	apr1Rounds   = 1000
	apr1Alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// apr1 returns Apache's MD5 hash of a password, as `openssl passwd -apr1` prints it.
func apr1(password, salt string) string {
	inner := md5.Sum([]byte(password + salt + password))
	first := []byte(password + apr1Prefix + salt)
	for left := len(password); left > 0; left -= md5.Size {
		first = append(first, inner[:min(left, md5.Size)]...)
	}
	for bit := len(password); bit > 0; bit >>= 1 {
		if bit&1 == 1 {
			first = append(first, 0)
		} else {
			first = append(first, password[0])
		}
	}
	digest := md5.Sum(first)
	var text []byte
	for round := range apr1Rounds {
		text = text[:0]
		parts := []string{password, string(digest[:])}
		if round%2 == 0 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		text = append(text, parts[0]...)
		if round%3 != 0 {
			text = append(text, salt...)
		}
		if round%7 != 0 {
			text = append(text, password...)
		}
		text = append(text, parts[1]...)
		digest = md5.Sum(text)
	}
	var hash strings.Builder
	write := func(value uint, characters int) {
		for range characters {
			hash.WriteByte(apr1Alphabet[value&63])
			value >>= 6
		}
	}
	for _, at := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		write(uint(digest[at[0]])<<16|uint(digest[at[1]])<<8|uint(digest[at[2]]), 4)
	}
	write(uint(digest[11]), 2)
	return apr1Prefix + salt + "$" + hash.String()
}
