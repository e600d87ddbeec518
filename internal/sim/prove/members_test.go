package prove

import (
	"os"
	"testing"

	"firstlight/internal/sim/gen"
)

// Each policy for a bad day of an array holds on a family of machines: 1,000 of
// each with FIRSTLIGHT_SEEDS, 150 without it.
func TestBadDaysOfArrays(t *testing.T) {
	n := uint64(150)
	if os.Getenv("FIRSTLIGHT_SEEDS") != "" {
		n = 1000
	}
	for _, bad := range gen.BadDays {
		t.Run(string(bad), func(t *testing.T) { family(t, n, func(seed uint64) *gen.Machine { return gen.Members(bad, seed) }) })
	}
}

// family boots n machines of one kind.
func family(t *testing.T, n uint64, make func(seed uint64) *gen.Machine) {
	var bench Bench
	defer bench.Close()
	verdicts, failures := map[gen.Verdict]int{}, 0
	for seed := range n {
		m := make(seed)
		if !m.Valid() {
			t.Fatalf("seed %d makes no sense", seed)
		}
		r := bench.Safe(m)
		verdicts[r.Truth.Verdict]++
		if len(r.Violations) > 0 {
			t.Errorf("seed %d, %s: %s", seed, m.Cmdline(), r)
			if failures++; failures == 3 {
				break
			}
		}
	}
	t.Logf("what they must come to: %v", verdicts)
	if sure := verdicts[gen.Boots] + verdicts[gen.GivesUp]; failures == 0 && sure < verdicts[gen.May] {
		t.Errorf("of too few it is known what they must come to: %v", verdicts)
	}
}
