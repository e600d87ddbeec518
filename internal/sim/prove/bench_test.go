package prove

import (
	"testing"
	"time"

	"firstlight/internal/sim/gen"

	"golang.org/x/sys/unix"
)

// BenchmarkSeeds boots the generated machines one after the other, with all
// checks.
func BenchmarkSeeds(b *testing.B) {
	var bench Bench
	defer bench.Close()
	start := cpu()
	for i := range b.N {
		if r := bench.Safe(gen.From(uint64(i))); len(r.Violations) > 0 {
			b.Fatal(r)
		}
	}
	b.ReportMetric(float64(b.N)/(cpu()-start).Seconds(), "boots/cpu-s")
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
