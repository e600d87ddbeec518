package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"firstlight/internal/sim/prove"
	"firstlight/test/host"
)

// mutations is where the files are that break a rule on purpose, one each.
const mutations = "internal/sim/prove/testdata/mutations"

// mutation is one change of the program that breaks a rule.
type mutation struct {
	name, why, file, old, new string
}

// mutate shows that the simulator finds bugs: it builds the program with one
// rule broken at a time, without touching the tree, and looks for the first
// seed that notices. One that nobody notices is an error: an invariant is
// missing.
func mutate(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	seeds := flags.String("seeds", "50000", "how many machines are booted at most for each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := filepath.Glob(mutations + "/*.txt")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutations")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var errs []error
	for _, file := range files {
		m, err := readMutation(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if flags.NArg() > 0 && !strings.Contains(m.name, flags.Arg(0)) {
			continue
		}
		seen, err := m.caught(ctx, dir, *seeds)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			seen = err.Error()
		}
		fmt.Printf("%-28s %s\n%28s %s\n", m.name, seen, "", m.why)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// readMutation reads a mutation: a line of explanation, the file, the text to
// replace and what replaces it.
func readMutation(file string) (m mutation, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	m.name = strings.TrimSuffix(filepath.Base(file), ".txt")
	head, rest, ok1 := strings.Cut(string(b), "--- old\n")
	was, now, ok2 := strings.Cut(rest, "+++ new\n")
	why, path, ok3 := strings.Cut(strings.TrimSpace(head), "\n")
	m.why, m.file, m.old, m.new = why, strings.TrimSpace(path), strings.TrimSuffix(was, "\n"), strings.TrimSuffix(now, "\n")
	if !ok1 || !ok2 || !ok3 {
		return m, fmt.Errorf("%s: it needs a line of explanation, the name of a file, \"--- old\" and \"+++ new\"", file)
	}
	return m, nil
}

// caught builds the mutant and says which seed notices it.
func (m mutation) caught(ctx context.Context, dir, seeds string) (string, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("%s has the text %d times", m.file, n)
	}
	changed := filepath.Join(dir, m.name+".go")
	if err := os.WriteFile(changed, bytes.Replace(text, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return "", err
	}
	here, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, m.name+".json")
	spec, err := json.Marshal(map[string]map[string]string{"Replace": {here: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, spec, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, m.name)
	defer os.Remove(program)
	if _, err := host.Run(ctx, "go", "build", "-overlay", overlay, "-o", program, "./test/flt"); err != nil {
		return "", err
	}
	out, err := host.Cmd{Argv: []string{program, "sim", "-brief", "-failures", "1", "-seeds", seeds}}.Run(ctx)
	line, _, _ := strings.Cut(string(out), "\n")
	var seed uint64
	if _, bad := fmt.Sscanf(line, "seed %d:", &seed); err == nil || bad != nil {
		return keptCase(ctx, overlay, seeds)
	}
	if r := prove.One(seed); len(r.Violations) > 0 {
		return "", fmt.Errorf("seed %d breaks a rule without it: %v", seed, r.Violations[0])
	}
	return line, nil
}

// keptCase says which of the machines that are kept from earlier finds notices a
// mutation that no seed does: those that the generator comes upon once in more
// than are tried are among them.
func keptCase(ctx context.Context, overlay, seeds string) (string, error) {
	out, err := host.Run(ctx, "go", "test", "-overlay", overlay, "./internal/sim/prove", "-run", "^TestRegressions$", "-v")
	if err != nil {
		for line := range strings.Lines(string(out) + err.Error()) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: TestRegressions/"); ok {
				name, _, _ = strings.Cut(name, " ")
				return "no seed of " + seeds + ", but the machine kept as " + name, nil
			}
		}
		return "", err
	}
	return "", fmt.Errorf("nobody notices in %s seeds, nor any machine that is kept", seeds)
}
