package pid1

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The head of an init comes from a disk: whatever is in it, the answer is an
// interpreter of bounded length, none, or an error.
func FuzzNeeded(f *testing.F) {
	if self, err := os.ReadFile("/proc/self/exe"); err == nil {
		f.Add(self[:min(len(self), 4096)])
	}
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Add([]byte("#! \n"))
	f.Add([]byte("\x7fELF"))
	// A 64-bit file whose one program header is an interpreter.
	elf := make([]byte, 64+56, 64+56+32)
	copy(elf, "\x7fELF\x02\x01\x01")
	elf[32], elf[54], elf[56] = 64, 56, 1
	elf[64], elf[64+8], elf[64+32] = 3, 64+56, 15
	f.Add(append(elf, "/lib/ld-linux.1\x00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, err := needed(bytes.NewReader(b))
		if err != nil && (name != "" || err.Error() == "") {
			t.Errorf("%q, %v", name, err)
		}
		if len(name) > 4096 || len(name) > len(b) || strings.HasSuffix(name, "\x00") {
			t.Errorf("%q of %d bytes", name, len(b))
		}
	})
}

// A password's hash is a file of the image. What is no hash denies, whatever
// is typed.
func FuzzPassword(f *testing.F) {
	f.Add("$6$saltsalt$x", []byte("a"))
	f.Add("$6$rounds=1000$s$", []byte{})
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", []byte("a"))
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=255$$", []byte("a"))
	f.Fuzz(func(t *testing.T, hash string, typed []byte) {
		if len(typed) > 64 || strings.Contains(hash, "rounds=") && len(hash) > 20 {
			return // a million rounds are allowed, and take their time
		}
		if m, n, _, ok := argonCost(field(hash, 3)); ok && (m > 1024 || n > 2) {
			return
		}
		if checkPassword(hash, typed) {
			t.Errorf("%q opens %q", typed, hash)
		}
	})
}

// field is a part of a hash, "" if it has fewer.
func field(hash string, i int) string {
	if f := strings.Split(hash, "$"); i < len(f) {
		return f[i]
	}
	return ""
}
