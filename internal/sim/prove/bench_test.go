package prove

import (
	"testing"
)

// BenchmarkSeeds boots the generated machines one after the other, with all
// checks.
func BenchmarkSeeds(b *testing.B) {
	for i := range b.N {
		if r := One(uint64(i)); len(r.Violations) > 0 {
			b.Fatal(r)
		}
	}
}
