package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/host"
)

// results collects what the closing summary says.
var results struct {
	sync.Mutex
	all []Result
}

func TestMain(m *testing.M) {
	start := time.Now()
	code := m.Run()
	summary(time.Since(start))
	os.Exit(code)
}

// summary prints one line on everything that ran, and one on each failure.
func summary(took time.Duration) {
	results.Lock()
	defer results.Unlock()
	if len(results.all) == 0 {
		return
	}
	failed := 0
	for _, r := range results.all {
		if !r.OK {
			failed++
			fmt.Printf("FAILED %s (%s): %s\n", r.Scenario, r.Suite, strings.Join(r.Problems, "; "))
		} else if len(r.Before) > 0 {
			fmt.Printf("passed only at the second try: %s (%s): %s\n", r.Scenario, r.Suite, strings.Join(r.Before, "; "))
		}
	}
	fmt.Printf("e2e: %d boots of %d passed, %d failed, in %v\n", len(results.all)-failed, len(results.all), failed, took.Round(time.Second))
}

// Each scenario with each of its kernels is a test of its own:
//
//	go test ./test/e2e -run 'TestBoot/^luks2-argon2id/bookworm'
func TestBoot(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_E2E") == "" {
		t.Skip("boots machines for many minutes: make e2e")
	}
	testtool.Root(t)
	testtool.Need(t, "qemu-system-x86_64", "qemu-img", "e2fsck")
	for _, suite := range []string{"bookworm", "trixie"} {
		if _, err := debian.FindKernel(suite); err != nil {
			t.Fatal(err)
		}
	}
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := host.Cache()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := runDir(filepath.Join(cache, "e2e"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{Firstlight: filepath.Join(checkout, "bin/firstlight"), Cache: filepath.Join(cache, "firstlight"), Dir: dir}
	if _, err := os.Stat(r.Firstlight); err != nil {
		t.Fatalf("make build first: %v", err)
	}
	selected := selection(Matrix())
	var needed []disks.Layout
	for _, s := range selected {
		needed = append(needed, s.Layouts...)
		if s.Net != nil && s.Net.Server.Disk != nil {
			needed = append(needed, *s.Net.Server.Disk)
		}
		if s.Net != nil {
			needed = append(needed, s.Net.Server.Exports...)
		}
	}
	// A layout that cannot be made fails the scenarios that need it.
	if r.Made, err = disks.Make(t.Context(), unique(needed)...); err != nil {
		t.Log(err)
	}
	lines, err := os.Create(filepath.Join(r.Dir, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lines.Close() })
	t.Run("links", func(t *testing.T) { testLinks(t, r) })
	t.Run("trial", func(t *testing.T) { testTrial(t, r) })
	if os.Getenv("FIRSTLIGHT_FULL") != "" {
		t.Run("zfs-labels", TestZFSLabelsAreReadAsZdbDoes)
	}
	for _, s := range selected {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for _, suite := range s.Suites() {
				t.Run(suite, func(t *testing.T) {
					t.Parallel()
					note(t, lines, runTwice(t, r, s, suite))
				})
			}
		})
	}
}

// runTwice runs a scenario, and if it fails once more: an emulated machine on
// a busy host can miss a limit. A pass at the second try is kept as such in
// the result and named in the summary, so that what fails now and then is
// seen and not forgotten.
func runTwice(t *testing.T, r *Runner, s Scenario, suite string) Result {
	first := r.Run(t.Context(), s, suite)
	if first.OK || t.Context().Err() != nil {
		return first
	}
	t.Logf("%s (%s) failed and is tried once more: %s", s.Name, suite, strings.Join(first.Problems, "; "))
	again := *r
	again.Dir = filepath.Join(r.Dir, "again")
	second := again.Run(t.Context(), s, suite)
	second.Before = first.Problems
	return second
}

// keptRuns is how many runs' results stay in the cache.
const keptRuns = 8

// runDir makes a directory for this run, so that runs side by side do not
// meet, and lets "latest" beside it lead there. Old runs are removed, unless the
// process is there that their name ends with.
func runDir(base string) (string, error) {
	name := fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102-150405"), os.Getpid())
	dir := filepath.Join(base, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(base, "[0-9]*-*"))
	if err != nil {
		return "", err
	}
	for _, d := range old[:max(0, len(old)-keptRuns)] { // sorted by time
		if _, err := os.Stat("/proc" + strings.Replace(d[strings.LastIndexByte(d, '-'):], "-", "/", 1)); err == nil {
			continue
		}
		if err := os.RemoveAll(d); err != nil {
			return "", err
		}
	}
	latest := filepath.Join(base, "latest")
	os.Remove(latest)
	return dir, os.Symlink(name, latest)
}

// note records a result and, of a failure, shows the end of the console.
func note(t *testing.T, lines *os.File, res Result) {
	t.Helper()
	line, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	results.Lock()
	results.all = append(results.all, res)
	fmt.Fprintf(lines, "%s\n", line)
	results.Unlock()
	t.Logf("%s", line)
	for _, p := range res.Problems {
		t.Error(p)
	}
	if !res.OK {
		for i := range res.Boots {
			if b, err := os.ReadFile(filepath.Join(res.Dir, fmt.Sprintf("console%d.log", i))); err == nil {
				t.Logf("end of console %d:\n%s", i, host.Tail(plain(string(b)), 60))
			}
		}
	}
}

// selection is what -run picks of the scenarios: disks are made for no other.
func selection(all []Scenario) []Scenario {
	if os.Getenv("FIRSTLIGHT_FULL") == "" {
		all = slices.DeleteFunc(all, func(s Scenario) bool { return s.Full })
		for i := range all {
			all[i].TrixieFull = false
		}
	}
	pattern := strings.Split(flag.Lookup("test.run").Value.String(), "/")
	if len(pattern) < 2 {
		return all
	}
	re, err := regexp.Compile(pattern[1])
	if err != nil {
		return all
	}
	return slices.DeleteFunc(all, func(s Scenario) bool { return !re.MatchString(s.Name) })
}

func unique(list []disks.Layout) []disks.Layout {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(l disks.Layout) bool {
		again := seen[l.Name]
		seen[l.Name] = true
		return again
	})
}

// Names decide where results go and how a scenario is picked; every scenario
// must say what it wants to see.
func TestMatrixIsWellFormed(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Matrix() {
		if !regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(s.Name) || names[s.Name] {
			t.Errorf("%q is not a name, or is taken", s.Name)
		}
		names[s.Name] = true
		if len(s.Boots) == 0 || len(s.Layouts) == 0 && s.Net == nil && s.Share == "" {
			t.Errorf("%s: no boots or no disks", s.Name)
		}
		known := map[string]bool{"": true}
		for _, l := range s.Layouts {
			for _, d := range l.Disks {
				if known[d.Name] {
					t.Errorf("%s: two disks are called %s", s.Name, d.Name)
				}
				known[d.Name] = true
			}
		}
		for _, p := range s.Paths {
			if !known[p.Disk] {
				t.Errorf("%s: no disk is called %s", s.Name, p.Disk)
			}
			known[p.Disk+"+"] = true
		}
		for _, d := range append(slices.Concat(s.Detached, s.Absent), s.Repaired) {
			if !known[d] {
				t.Errorf("%s: no disk is called %s", s.Name, d)
			}
		}
		for _, b := range s.Boots {
			for _, a := range b.Do {
				if !known[a.Attach] || !known[a.Detach] {
					t.Errorf("%s: no disk is called %s", s.Name, a.Attach+a.Detach)
				}
			}
			w := b.Want
			for _, pattern := range slices.Concat(w.Arrays, w.Mapped, []string{w.Root, w.Usr}) {
				if _, err := regexp.Compile(pattern); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
			}
		}
	}
}
