package prove

import (
	"os"
	"testing"

	"firstlight/internal/sim/gen"
)

// Each policy for a bad day of a disk with a cache holds on a family of
// machines: 1,000 of each with FIRSTLIGHT_SEEDS, 150 without it.
func TestBadDaysOfCaches(t *testing.T) {
	n := uint64(150)
	if os.Getenv("FIRSTLIGHT_SEEDS") != "" {
		n = 1000
	}
	for _, bad := range gen.Uncachings {
		t.Run(string(bad), func(t *testing.T) { family(t, n, func(seed uint64) *gen.Machine { return gen.Caches(bad, seed) }) })
	}
}
