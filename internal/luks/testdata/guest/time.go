package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"firstlight/internal/afalg"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
)

// costs are volumes whose keys are as dear as cryptsetup makes them on this
// machine by default.
var costs = []volume{
	{"argon2id", "one", []string{"--type", "luks2", "--pbkdf", "argon2id"}},
	{"pbkdf2-sha256", "two", []string{"--type", "luks2", "--pbkdf", "pbkdf2"}},
	{"pbkdf2-sha512", "three", []string{"--type", "luks2", "--pbkdf", "pbkdf2", "--hash", "sha512"}},
	{"luks1", "four", []string{"--type", "luks1"}},
}

// compareTime says how long cryptsetup and we take to find the volume key, the
// shortest of some tries each.
func compareTime(v volume) error {
	path := "/run/time-" + v.name
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(path, diskSize*2); err != nil {
		return err
	}
	defer os.Remove(path)
	if _, err := tool(v.pass, append(append([]string{"cryptsetup", "luksFormat", "-q", "--key-file", "-"}, v.args...), path)...); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const tries = 4
	begun := time.Now()
	now := func() time.Duration { return time.Since(begun) }
	ours, theirs := time.Hour, time.Hour
	for range tries {
		start := time.Now()
		if _, err := tool(v.pass, "cryptsetup", "open", "--test-passphrase", "--key-file", "-", path); err != nil {
			return err
		}
		theirs = min(theirs, time.Since(start))
		start = time.Now()
		h, err := luksfmt.Read(f)
		if err != nil {
			return err
		}
		key, err := luks.Open(context.Background(), h, f, []byte(v.pass), luks.Options{Ciphers: afalg.Ciphers{}, FreeMemory: debug.FreeOSMemory, Now: now})
		if err != nil {
			return err
		}
		key.Wipe()
		ours = min(ours, time.Since(start))
	}
	ratio := float64(ours) / float64(theirs)
	fmt.Printf("TIME %s ours %v cryptsetup %v ratio %.2f\n", v.name, ours.Round(time.Millisecond), theirs.Round(time.Millisecond), ratio)
	const limit = 1.15
	if ratio > limit {
		return fmt.Errorf("it takes %.2f times as long as cryptsetup", ratio)
	}
	return nil
}
