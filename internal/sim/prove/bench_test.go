package prove

import (
	"slices"
	"testing"
	"time"

	"firstlight/internal/sim/gen"

	"golang.org/x/sys/unix"
)

// BenchmarkSeeds boots the generated machines one after the other, with all
// checks.
func BenchmarkSeeds(b *testing.B) {
	b.Run("all", func(b *testing.B) { boots(b, func(*gen.Machine) bool { return true }) })
	b.Run("median", func(b *testing.B) { boots(b, median()) })
}

// median says whether a machine is of the middle half by the number of its
// objects.
func median() func(m *gen.Machine) bool {
	var sizes []int
	for seed := range uint64(2000) {
		sizes = append(sizes, len(gen.From(seed).Nodes))
	}
	slices.Sort(sizes)
	least, most := sizes[len(sizes)/4], sizes[len(sizes)*3/4]
	return func(m *gen.Machine) bool { return len(m.Nodes) >= least && len(m.Nodes) <= most }
}

func boots(b *testing.B, which func(*gen.Machine) bool) {
	var bench Bench
	defer bench.Close()
	var took time.Duration
	for n, seed := 0, uint64(0); n < b.N; seed++ {
		start := cpu()
		m := gen.From(seed)
		if !which(m) {
			continue
		}
		n++
		if r := bench.Safe(m); len(r.Violations) > 0 {
			b.Fatal(r)
		}
		took += cpu() - start
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "boots/cpu-s")
}

// cpu is how long this process has computed so far: what other processes do
// at the same time does not count.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
