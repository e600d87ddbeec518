// Package argon2 derives keys by Argon2i and Argon2id, version 0x13 (RFC 9106),
// in the form that is quicker on this machine. The library's has vector
// instructions. On real processors it takes two thirds of the time of this
// package's own, which has none; where instructions are emulated (QEMU's TCG
// calls a function for each that works on vectors) it takes more than twice as
// long. Nothing that a processor says of itself tells the two cases apart, so
// both are tried, for a ten thousandth of the time that is usual for a key.
package argon2

import (
	"time"

	"golang.org/x/crypto/argon2"
)

// Type is one of the ways in which the memory is gone through.
type Type uint32

// The types, with the numbers of RFC 9106, section 3.1. LUKS2 has no Argon2d.
const (
	Argon2i  Type = 1
	Argon2id Type = 2
)

// Cost is what a key is to cost.
type Cost struct {
	Time    uint32 // passes over the memory, at least one
	Memory  uint32 // in KiB; less than eight times Threads counts as that
	Threads uint8  // lanes that can be computed side by side, at least one
}

// Key derives size bytes from a passphrase and a salt. now is a monotonic clock
// by which the two forms are compared; with a nil one, or where the whole is
// hardly dearer than comparing, the library is taken. It panics if Time or
// Threads is zero.
func Key(t Type, pass, salt []byte, c Cost, size uint32, now func() time.Duration) []byte {
	if now != nil && uint64(c.Time)*uint64(c.Memory) >= worthIt && quicker(now) {
		return own(t, pass, salt, c, size)
	}
	return library(t, pass, salt, c, size)
}

func library(t Type, pass, salt []byte, c Cost, size uint32) []byte {
	if t == Argon2i {
		return argon2.Key(pass, salt, c.Time, c.Memory, c.Threads, size)
	}
	return argon2.IDKey(pass, salt, c.Time, c.Memory, c.Threads, size)
}

const (
	// worthIt is the cost, in KiB gone through, from which on trying is worth
	// its while.
	worthIt = 8 << 10
	// Each form is tried a few times, since the first time also pays for what
	// is new.
	trials = 3
)

// trial is what is derived to compare.
var trial = Cost{Time: 1, Memory: 64, Threads: 1}

// quicker says whether the package's own form is quicker than the library's, by
// a quarter at least: what disturbs such short trials is no reason to leave what
// is right nearly everywhere.
func quicker(now func() time.Duration) bool {
	lib := shortest(now, library)
	return shortest(now, own) < lib-lib/4
}

// shortest is the time of the quickest of some trials.
func shortest(now func() time.Duration, form func(Type, []byte, []byte, Cost, uint32) []byte) time.Duration {
	best := time.Duration(1<<63 - 1)
	for range trials {
		start := now()
		form(Argon2id, nil, nil, trial, 4)
		best = min(best, now()-start)
	}
	return best
}
