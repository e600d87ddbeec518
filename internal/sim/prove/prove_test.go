package prove

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"firstlight/internal/sim/gen"
)

// TestGeneratedMachinesBoot boots as many generated machines as
// FIRSTLIGHT_SEEDS says, 1,000 without it. `make sim` cuts down what fails.
func TestGeneratedMachinesBoot(t *testing.T) {
	n := uint64(1000)
	if testing.Short() {
		n = 300
	}
	if s := os.Getenv("FIRSTLIGHT_SEEDS"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	failures := 0
	Seeds(0, n, runtime.GOMAXPROCS(0), func(f Failure) bool {
		t.Errorf("seed %d: %s", f.Seed, f.Result)
		failures++
		return failures < 3
	})
}

// What was found once stays found: each file is a machine whose boot broke a
// rule; its name says how.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/regressions/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no regressions: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var m gen.Machine
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			if r := Safe(&m); len(r.Violations) > 0 {
				t.Error(r)
			}
		})
	}
}

func TestSameSeedSameJournalAtAnyGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	distinct := map[string]bool{}
	const seeds = 150
	for seed := range uint64(seeds) {
		runtime.GOMAXPROCS(1)
		a := One(seed).Sim.Journal
		runtime.GOMAXPROCS(8)
		if b := One(seed).Sim.Journal; !bytes.Equal(a, b) {
			t.Fatalf("seed %d gave two journals", seed)
		}
		distinct[string(a)] = true
	}
	if len(distinct) != seeds {
		t.Errorf("%d seeds gave only %d journals", seeds, len(distinct))
	}
}
