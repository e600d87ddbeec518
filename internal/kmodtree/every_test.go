package kmodtree

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

var suites = []string{"bookworm", "trixie"}

// some are every module of a kernel, or one of twenty.
func some(tree *Tree, all bool) []*Module {
	var out []*Module
	for i, m := range tree.Modules() {
		if all || i%20 == 0 {
			out = append(out, m)
		}
	}
	return out
}

// What a module needs is what modprobe --show-depends says, for every module of
// Debian's kernels 6.1 and 6.12.
func TestClosureOfEveryModuleAsModprobe(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			tree := debianOf(t, suite)
			list := some(tree, !testing.Short())
			if !testing.Short() && len(list) < 3500 {
				t.Errorf("%d modules", len(list))
			}
			checkClosures(t, suite, tree, nil, list)
		})
	}
}

// The firmware of a module is what modinfo lists, for every one of them. Those of
// 6.12 are compressed: to read all takes minutes, and is left to make test-full.
func TestFirmwareOfEveryModuleAsModinfo(t *testing.T) {
	testtool.Need(t, "modinfo")
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			files := 0
			all := !testing.Short() && (suite == "bookworm" || os.Getenv("FIRSTLIGHT_FULL") == "1")
			for batch := range slices.Chunk(some(debianOf(t, suite), all), 200) {
				var paths []string
				for _, m := range batch {
					paths = append(paths, m.Path())
				}
				out, err := exec.Command(testtool.Path("modinfo"), paths...).Output()
				if err != nil {
					t.Fatal(err)
				}
				want := map[string][]string{}
				seen, name := 0, ""
				for line := range strings.Lines(string(out)) {
					if file, ok := strings.CutPrefix(line, "filename:"); ok {
						name = filepath.Clean(strings.TrimSpace(file))
						seen++
					}
					if f, ok := strings.CutPrefix(line, "firmware:"); ok {
						want[name] = append(want[name], strings.TrimSpace(f))
					}
				}
				if seen != len(batch) {
					t.Fatalf("modinfo says something of %d modules of %d", seen, len(batch))
				}
				for _, m := range batch {
					got, err := m.Firmware()
					if err != nil {
						t.Fatal(err)
					}
					slices.Sort(got)
					w := slices.Sorted(slices.Values(want[m.Path()]))
					if w = slices.Compact(w); !slices.Equal(got, w) {
						t.Errorf("%s: %q, modinfo lists %q", m.Name, got, w)
					}
					files += len(got)
				}
			}
			if files == 0 {
				t.Error("no module names firmware")
			}
		})
	}
}
