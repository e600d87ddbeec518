package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"firstlight/internal/sim/prove"
)

// soak is how far a long simulation is, and what came of it so far. It is kept
// in a file, so that it can be done in pieces.
type soak struct {
	Build   string       `json:"build"` // checksum of the program: two builds are not mixed
	Start   uint64       `json:"start"`
	Seconds float64      `json:"seconds"` // how long it took
	Sum     prove.Tally  `json:"sum"`
	Broken  []brokenSeed `json:"broken"`

	file string
}

// brokenSeed is a seed that broke a rule.
type brokenSeed struct {
	Seed uint64 `json:"seed"`
	Rule string `json:"rule"`
}

// openSoak takes up what a file holds; without a name nothing is kept.
func openSoak(file string, start uint64) (*soak, error) {
	s := &soak{Start: start, file: file}
	if file == "" {
		return s, nil
	}
	build, err := checksum()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Build = build
		return s, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.Build != build || s.Start != start {
		return nil, fmt.Errorf("%s was made by another build, or from seed %d on and not from %d: remove it to begin anew", file, s.Start, start)
	}
	return s, nil
}

// checksum is that of this program.
func checksum() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Done is how many seeds were booted.
func (s *soak) Done() uint64 { return s.Sum.Boots }

// add adds what came of some seeds and writes the file anew.
func (s *soak) add(sum prove.Tally, took time.Duration) error {
	s.Sum.Merge(sum)
	s.Seconds += took.Seconds()
	if s.file == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	fresh := filepath.Join(filepath.Dir(s.file), "."+filepath.Base(s.file)+".new")
	if err := os.WriteFile(fresh, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, s.file)
}
