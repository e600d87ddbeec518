package pid1

import (
	"bytes"
	"crypto/sha512"
	"hash"
	"strconv"
	"strings"
)

// shaPrefix begins hashes of crypt(5) with SHA-512.
const shaPrefix = "$6$"

// The rounds of such a hash: where it says nothing, and what it may ask for.
// More than maxRounds would take minutes, and denies.
const (
	usualRounds = 5000
	minRounds   = 1000
	maxRounds   = 10_000_000
)

// maxSalt is how many characters of a salt count.
const maxSalt = 16

// shaCrypt is crypt(3) of a password with the settings of a hash
// "$6$[rounds=N$]SALT[$HASH]", "" if they are not valid. The algorithm is the
// one of U. Drepper, "Unix crypt using SHA-256 and SHA-512".
func shaCrypt(setting string, password []byte) string {
	rest := strings.TrimPrefix(setting, shaPrefix)
	rounds, said := usualRounds, ""
	if n, after, ok := strings.Cut(rest, "$"); ok && strings.HasPrefix(n, "rounds=") {
		v, err := strconv.Atoi(n[len("rounds="):])
		if err != nil || v < minRounds || v > maxRounds {
			return ""
		}
		rounds, said, rest = v, n+"$", after
	}
	salt, _, _ := strings.Cut(rest, "$")
	if len(salt) > maxSalt {
		return ""
	}
	sum := shaRounds(password, []byte(salt), rounds)
	defer clear(sum)
	return shaPrefix + said + salt + "$" + shaText(sum)
}

func shaRounds(password, salt []byte, rounds int) []byte {
	h := sha512.New()
	b := digest(h, password, salt, password)
	h.Reset()
	h.Write(password)
	h.Write(salt)
	h.Write(repeated(b, len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(b)
		} else {
			h.Write(password)
		}
	}
	c := h.Sum(nil)
	p := repeated(digest(h, bytes.Repeat(password, len(password))), len(password))
	s := repeated(digest(h, bytes.Repeat(salt, 16+int(c[0]))), len(salt))
	defer clear(p)
	for i := range rounds {
		h.Reset()
		first, last := c, p
		if i&1 != 0 {
			first, last = p, c
		}
		h.Write(first)
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		h.Write(last)
		c = h.Sum(c[:0])
	}
	return c
}

func digest(h hash.Hash, parts ...[]byte) []byte {
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// repeated is n bytes of b, over and over.
func repeated(b []byte, n int) []byte {
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

// shaText writes the 64 bytes of a sum in crypt's own order and alphabet.
func shaText(sum []byte) string {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	write := func(v uint32, chars int) {
		for range chars {
			out = append(out, alphabet[v&63])
			v >>= 6
		}
	}
	for i, j, k := 0, 21, 42; len(out) < 84; i, j, k = j+1, k+1, i+1 {
		write(uint32(sum[i])<<16|uint32(sum[j])<<8|uint32(sum[k]), 4)
	}
	write(uint32(sum[63]), 2)
	return string(out)
}
