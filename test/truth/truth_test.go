package truth

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/testtool"
	"firstlight/test/disks"
	"firstlight/test/e2e"
	"firstlight/test/host"
)

// Each comparison is a test of its own:
//
//	make check-truth RUN=raid1-minus
//
// FIRSTLIGHT_TRUTH_RESUME=1 takes the last run up again: of an image that it has
// booted only the check is asked once more. Where the two differ the snapshot is
// taken again, and where they still do the image is booted again.
func TestTruth(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_TRUTH") == "" {
		t.Skip("boots machines for many minutes: make check-truth")
	}
	testtool.Root(t)
	testtool.Need(t, "qemu-system-x86_64", "qemu-img", "zstd")
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := host.Cache()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	cases = selected(cases)
	dir, done := runDir(t, filepath.Join(cache, "truth"))
	r := &Runner{Runner: e2e.Runner{Firstlight: filepath.Join(checkout, "bin/firstlight"), Cache: filepath.Join(cache, "firstlight"), Dir: dir}}
	var layouts []disks.Layout
	seen := map[string]bool{}
	for _, c := range cases {
		for _, l := range c.Base.Layouts {
			if !seen[l.Name] {
				seen[l.Name] = true
				layouts = append(layouts, l)
			}
		}
	}
	// A layout that cannot be made fails the cases that need it.
	if r.Made, err = disks.Make(t.Context(), layouts...); err != nil {
		t.Log(err)
	}
	results, err := os.OpenFile(filepath.Join(dir, resultsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(row Row) {
		line, err := json.Marshal(row)
		if err != nil {
			t.Error(err)
			return
		}
		// One write, so that two runs can share the file.
		if _, err := results.Write(append(line, '\n')); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		results.Close()
		rows, err := Results(dir)
		if err != nil {
			t.Error(err)
		}
		all, err := Cases()
		if err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "table.md"), []byte(Document(all, rows)), 0o644); err != nil {
			t.Error(err)
		}
	})
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			t.Run(c.Suite, func(t *testing.T) {
				var row Row
				at := slices.IndexFunc(done, func(r Row) bool { return r.Name == c.Name && r.Suite == c.Suite })
				if at >= 0 {
					row = r.Again(t.Context(), c, done[at])
				}
				if !row.Agree { // never booted, or it has to be looked at again
					row = r.Run(t.Context(), c)
				}
				keep(row)
				switch {
				case row.Problem != "":
					t.Errorf("not compared: %s", row.Problem)
				case !row.Agree:
					t.Errorf("check says %q, the boot %q\n%s", row.Check, row.Real, strings.Join(row.Text, "\n"))
				}
				if list := falseWarnings(c, row.Warned); len(list) > 0 {
					t.Errorf("it warns of what is not so: %q", list)
				}
				t.Logf("check %q, boot %q, %.0f s\n%s", row.Check, row.Real, row.Seconds, strings.Join(append(row.Text, row.Warned...), "\n"))
			})
		})
	}
}

// runDir is where a run leaves its results; with the rows of a run that is
// taken up again.
func runDir(t *testing.T, base string) (dir string, done []Row) {
	latest := filepath.Join(base, "latest")
	if os.Getenv("FIRSTLIGHT_TRUTH_RESUME") != "" {
		if real, err := filepath.EvalSymlinks(latest); err == nil {
			rows, err := Results(real)
			if err != nil {
				t.Log(err)
			}
			return real, rows
		}
	}
	name := fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102-150405"), os.Getpid())
	dir = filepath.Join(base, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(latest)
	if err := os.Symlink(name, latest); err != nil {
		t.Fatal(err)
	}
	return dir, nil
}

// selected is what -run picks: disks are made for no other.
func selected(all []Case) []Case {
	pattern := strings.Split(flag.Lookup("test.run").Value.String(), "/")
	if len(pattern) < 2 {
		return all
	}
	name, err := regexp.Compile(pattern[1])
	if err != nil {
		return all
	}
	suite := regexp.MustCompile("")
	if len(pattern) > 2 {
		if suite, err = regexp.Compile(pattern[2]); err != nil {
			return all
		}
	}
	return slices.DeleteFunc(all, func(c Case) bool { return !name.MatchString(c.Name) || !suite.MatchString(c.Suite) })
}

// The list of broken images is what the promise of a hundred per cent is made
// about: it must be long, and every row must name a scenario that exists.
func TestCasesAreWellFormed(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	names, changed := map[string]bool{}, 0
	for _, c := range cases {
		if key := c.Name + " " + c.Suite; names[key] {
			t.Errorf("%s is there twice", key)
		} else {
			names[key] = true
		}
		if c.Change == nil {
			continue
		}
		changed++
		if _, err := c.Change.cmdline(c.Base.Cmdline()); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if changed < 40 {
		t.Errorf("%d changed images are fewer than forty", changed)
	}
	known := map[string]bool{}
	for _, s := range e2e.Matrix() {
		known[s.Name] = true
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(notCompared)), slices.Collect(maps.Keys(untold)), slices.Collect(maps.Keys(tried))) {
		if !known[name] {
			t.Errorf("the matrix has no scenario %s", name)
		}
	}
}
